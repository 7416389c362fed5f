"""What judging a checkpoint again gives: each figure under fresh seeds, with and without each person, as plain JSON.

`trainables.eval.intervals.jackknife` makes intervals of these.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trainables.core.config import ConfigError
from trainables.eval.intervals.jackknife import Clustered
from trainables.training.manifest import CODE, code_sha256


class Findings(NamedTuple):
    """What one checkpoint came to on one part of the data.

    Attributes:
        movements: Of people, under whose conditions samples or bots were drawn for each seed.
        each: The figures under each seed.
    """

    groups: tuple[str, ...]
    movements: int
    each: tuple[Mapping[str, Clustered], ...]


@dataclass(frozen=True)
class Judgement:
    """One checkpoint on one part of the data, under fresh seeds.

    Attributes:
        checkpoint_sha256: Of its weights.
        kind: Of its trainable.
        part: Of the data, whose hash is `data_sha256`.
        seeds: Of what is drawn anew (`trainables.training.headline_metrics`): a generator's noise, a detector's bots;
            figures are means.
        groups: Who made the movements; a figure's `without` is in this order.
        movements: Of people, under whose conditions samples or bots were drawn for each seed.
        figures: By the names of `trainables.training.metric_names`; only what could be computed under every seed.
        by_seed: The same figures, one value per seed.
        code_sha256: Over the code that drew the movements and computed the figures: all of `trainables`.
    """

    checkpoint_sha256: str
    kind: str
    part: str
    data_sha256: str
    seeds: tuple[int, ...]
    groups: tuple[str, ...]
    movements: int
    figures: Mapping[str, Clustered]
    by_seed: Mapping[str, tuple[float, ...]]
    code_sha256: str = field(default_factory=lambda: code_sha256(CODE))

    @property
    def is_of_today(self) -> bool:
        """Whether the code of this process would come to the same figures, as far as code is the same code."""
        return self.code_sha256 == code_sha256(CODE)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping; `from_json` of it is the same judgement."""
        figures = {name: {"value": f.value, "without": list(f.without)} for name, f in self.figures.items()}
        lists = {"seeds": list(self.seeds), "groups": list(self.groups)}
        return {**vars(self), **lists, "figures": figures, "by_seed": {k: list(v) for k, v in self.by_seed.items()}}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Judgement":
        """The judgement of a plain mapping; one that names no code is of none that is known.

        Raises:
            ConfigError: it is not one.
        """
        try:
            figures = {k: Clustered(float(f["value"]), tuple(f["without"])) for k, f in plain["figures"].items()}
            tuples = {"seeds": tuple(plain["seeds"]), "groups": tuple(plain["groups"])}
            by_seed = {name: tuple(values) for name, values in plain["by_seed"].items()}
            return cls(**{"code_sha256": "", **plain, **tuples, "figures": figures, "by_seed": by_seed})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not a judgement ({type(error).__name__}: {error})") from None
