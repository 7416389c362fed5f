"""Model card of a generator: purpose, limits, training data, form, sampling, and metrics with intervals over users.

One Markdown page for those who decide on its use, and the same as JSON for programs; `python -m platform.evaluate
ckpt=FOLDER` writes both beside its report. Every number on it is in the evaluation.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.core.config import build, plain
from trainables.data.canonical import Canonical
from trainables.data.config import CONDITION_NAMES, RATE_HZ, CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.data.training_users import users_account, users_lines
from trainables.detector.evaluation.tables import Table
from trainables.eval.generation.comparison import Comparison
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.report import Numbers
from trainables.generation.direct_sampling import DirectSampling
from trainables.generation.limits_of_use import LIMITS_OF_USE
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.metric_rows import CONFIDENCE, MetricRow, metric_row, shown_metrics, validator_of
from trainables.model_evaluation.selection_account import SAME_KIND, SEEN, UNSEEN, probes_of
from trainables.model_evaluation.training_account import training_account, training_lines
from trainables.models import load_generator
from trainables.training.checkpoint import load_record
from trainables.training.metric_names import VAL_REJECTED

PURPOSE = (
    "The generator makes mouse movements from one point to another under requested conditions: duration, distance, "
    "direction, length of the path, turning and, where it was trained with them, target width. They are meant as "
    "synthetic negatives for the training and the test of bot detectors."
)
LIMITS = (
    *LIMITS_OF_USE,
    "The metrics hold for conditions like those of the evaluated users, and for the devices that they used.",
    "A metric near its best value says that these features and probes see no difference, not that there is none.",
)
ALIGNED = (
    "Chord alignment is on: each sample is turned and scaled onto the requested net displacement, so that distance and "
    "direction are exact before the rounding to pixels; metrics without it may differ."
)
NOT_ALIGNED = (
    "Chord alignment is off: the net displacement of a sample is what the network made, near the requested one but "
    "seldom on it."
)


@dataclass(frozen=True)
class GeneratorCard:
    """Model card of a generator.

    Attributes:
        model: Kind, hash of the weights, number of parameters, epoch, and the model of a pair that samples.
        data: Source, hash, movements and users of each split and source, and numbers of the users of the training.
        form: Representation, steps, channels, whether target widths were learnt, and what the training was done with.
        sampling: Settings of the sampler; None where the generator has none.
        about_sampling: What such a generator does instead.
        selection: Account of the selection among candidates; None where a movement is a single sample.
        evaluated: Split or file of real movements, and counts of both sides.
        excluded: Movements that were left out, a line each.
    """

    name: str
    model: Mapping[str, Any]
    data: Mapping[str, Any]
    form: Mapping[str, Any]
    sampling: Mapping[str, Any] | None
    evaluated: Mapping[str, Any]
    metrics: MetricRow
    excluded: tuple[str, ...] = ()
    about_sampling: str = ""
    selection: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the card as a plain mapping, with its purpose and limits."""
        parts = {name: getattr(self, name) for name in ("name", "model", "data", "form", "sampling", "evaluated")}
        metrics = {name: found for name, found in self.metrics.to_json().items() if name != VAL_REJECTED}
        return {
            **parts,
            "purpose": PURPOSE,
            "limits": list(LIMITS),
            "alignment": self._alignment(),
            "selection": None if self.selection is None else dict(self.selection),
            "metrics": metrics,
            "confidence": CONFIDENCE,
            "excluded": list(self.excluded),
        }

    def markdown(self) -> str:
        """Return the card as a Markdown page."""
        parts = [
            f"# Generator card: {self.name}",
            PURPOSE,
            "## Limits of use",
            _bullets(LIMITS),
            "## Summary",
            _bullets(self._summary()),
            "## Training data",
            _bullets(self._training_data()),
            "## Form",
            _bullets(self._form()),
            "## Sampling",
            _bullets(self._sampling()),
            "## Metrics",
            self.table().markdown(),
            "## Excluded",
            _bullets(self.excluded or ("Nothing was excluded.",)),
        ]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def table(self) -> Table:
        """Return the metrics with their meaning, their intervals, and the better direction."""
        names = [metric.name for metric in GENERATION.metrics if metric.name in self._names()]
        rows = [
            (f"{GENERATION[name].column}: {GENERATION[name].description}", *shown_metrics([name], self.metrics), better)
            for name, better in ((name, _better(name)) for name in names)
        ]
        return Table(self._title(), ("metric", f"value [{100 * CONFIDENCE:g} %]", "better"), tuple(rows))

    def _names(self) -> set[str]:
        return {*self.metrics.values, *self.metrics.estimates} - {VAL_REJECTED}

    def _title(self) -> str:
        found = self.evaluated
        return (
            f"{found['movements']} samples against as many movements of {found['users']} users "
            f"({found['source']}), intervals over users where a metric has one"
        )

    def _summary(self) -> list[str]:
        headline, chance = GENERATION[GENERATION.headline], GENERATION[GENERATION.headline].chance
        best = "" if chance is None else f" ({chance:g}: indistinguishable)"
        lines = [f"{headline.column}{best}: {shown_metrics([headline.name], self.metrics)[0]}."]
        other = GENERATION[GENERATION.tie_breaker]
        lines.append(f"{other.column}: {shown_metrics([other.name], self.metrics)[0]}.")
        copies = self.evaluated["distance_to_training"]
        lines.append(f"Distance to the training movements: {copies:.2f} of that of held-out users (copies: 0).")
        error = self.evaluated["condition_error"]
        return [*lines, f"Condition error: {error:.2f} standard deviations (0: exact)."] if error is not None else lines

    def _training_data(self) -> list[str]:
        data, model = self.data, self.model
        side = f" (samples from its {model['samples_from']} model)" if model.get("samples_from") else ""
        trained = f"{model['kind']}{side}, {model['parameters']:,} parameters, epoch {model['epoch']}"
        return [
            f"Model: {trained}, weights {model['weights_sha256'][:16]}.",
            f"Recordings: {data['source']}, hash {data['sha256'][:16]}.",
            *(f"Split {name}: {count}." for name, count in data["splits"].items()),
            *(f"Training split, source {name}: {count}." for name, count in data["sources"]["train"].items()),
            *users_lines(data["users"]),
        ]

    def _form(self) -> list[str]:
        form = self.form
        learnt = "learnt" if form["target_widths"] else "not learnt: an unknown width is NaN, and no other is accepted"
        steps, channels = form["sequence_length"], form["channels"]
        return [
            f"{form['representation']}, at most {steps} steps of {channels} channels; pixels at {RATE_HZ:g} Hz.",
            f"Conditions: {', '.join(CONDITION_NAMES)}; target widths are {learnt}.",
            *training_lines(form["training"]),
        ]

    def _sampling(self) -> list[str]:
        if self.sampling is None:
            return [self.about_sampling]
        settings = ", ".join(f"{name} {value}" for name, value in self.sampling.items())
        return [f"Settings of this evaluation: {settings}.", self._alignment(), *selection_lines(self.selection)]

    def _alignment(self) -> str:
        if self.sampling is None:
            return self.about_sampling
        return ALIGNED if self.sampling["align"] else NOT_ALIGNED


def write_card(folder: Path, config: EvalConfig, numbers: Numbers, comparison: Comparison) -> None:
    """Write `card.md` and `card.json` of an evaluated checkpoint."""
    card = card_of(config, numbers, comparison)
    (folder / "card.md").write_text(card.markdown())
    (folder / "card.json").write_text(json.dumps(card.to_json(), indent=1, sort_keys=True, allow_nan=False) + "\n")


def card_of(config: EvalConfig, numbers: Numbers, comparison: Comparison) -> GeneratorCard:
    """Return the card of an evaluated checkpoint, from its report and the movements that were compared."""
    checkpoint, origin = Path(config.ckpt), numbers["evaluated"]
    record, source = load_record(checkpoint), load_generator(checkpoint)
    direct: object = source
    form = CanonicalConfig("fixed_dt", comparison.real.deltas.shape[1])  # in which both sides are compared
    validator, users = validator_of(comparison.real, comparison.training, form, config.comparison)
    parameters = sum(parameter.numel() for parameter in source.model.parameters())
    return GeneratorCard(
        checkpoint.name,
        {
            "kind": record.get("kind"),
            "weights_sha256": record["weights_sha256"],
            "parameters": parameters,
            "epoch": record.get("epoch"),
            **{name: record[name] for name in ("samples_from",) if name in record},
        },
        {**data_of(build(DataConfig, record["config"]["data"])), "users": users_account(record)},
        {
            **plain(source.canonical),
            "channels": source.canonical.form.channels,
            "target_widths": source.training_conditions.tell_widths,
            "training": training_account(record),
        },
        origin.get("sampling"),
        {
            "source": numbers["real"]["source"],
            "movements": len(comparison.fake),
            "users": len(users),
            "seed": config.seed,
            "distance_to_training": numbers["checks"]["memorisation"]["ratio"],
            "condition_error": numbers["checks"]["conditions"].get("mean_median_absolute_sd"),
        },
        metric_row(validator, comparison.fake),
        tuple(excluded(numbers)),
        direct.about_sampling if isinstance(direct, DirectSampling) else "",
        origin.get("selection"),
    )


def selection_lines(selection: Mapping[str, Any] | None) -> list[str]:
    """Return what a selection among candidates costs and leaves, and which probes measure more than its own fit."""
    if selection is None:
        return []
    effective, of, calls = (selection[key] for key in ("effective_candidates", "candidates", "calls_per_movement"))
    rounds = ", in two rounds, the second on selected samples" if selection["rounds"] > 1 else ""
    fits = [
        f"{found['movements']} movements of {found['users']} training users of {source} and {found['samples']} samples"
        for source, found in selection["fitted"].items()
    ]
    return [
        f"Selection: one of {of} candidates per movement is drawn, {effective:.1f} effective; {calls} network calls.",
        f"Its ratio, at most {selection['max_ratio']:g}, was fitted to {', '.join(fits)}{rounds}.",
        (
            f"Probes whose columns the selector was fitted to: {probes_of(selection, SEEN)}; to the same kind with "
            f"other kernels: {probes_of(selection, SAME_KIND)}; not seen, and so the ones that count: "
            f"{probes_of(selection, UNSEEN)}."
        ),
    ]


def data_of(data: DataConfig) -> dict[str, Any]:
    """Return source, hash and sizes of the data of a training."""
    splits = load_splits(data)
    return {
        "source": data.label,
        "sha256": splits.sha256,
        "splits": {name: _counted(split, split.group) for name, split in splits.splits.items()},
        "sources": {name: sources_of(split) for name, split in splits.splits.items()},
    }


def sources_of(movements: Canonical) -> dict[str, str]:
    """Return movements and users of each source."""
    found: dict[str, list[str]] = {}
    for source, user in zip(movements.source, movements.group, strict=True):
        found.setdefault(source, []).append(user)
    return {name: _counted(users, users) for name, users in sorted(found.items())}


def excluded(numbers: Numbers) -> list[str]:
    """Return a line for each reason why movements of a side were left out."""
    sides = {"real": "Real movements", "fake": "Samples"}
    return [
        f"{title}: {count} of {numbers[side]['read']}, {reason}."
        for side, title in sides.items()
        for reason, count in numbers[side]["dropped"].items()
    ]


def _counted(movements: Canonical | Sequence[str], users: Sequence[str]) -> str:
    return f"{len(movements)} movements of {len(set(users))} users"


def _better(name: str) -> str:
    return "smaller" if GENERATION[name].minimised else "larger"


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
