"""`python -m platform.negatives url=URL out_dir=FOLDER`: movements of the service, kept for the trainings of detectors.

They are drawn once, before a training, under the conditions of the training people; what cannot be brought into
canonical form is drawn again. All of them are of one champion, whose hash is kept with them, even if another one is
promoted meanwhile; with a hardness, all are scored by one detector. Where the service fails for now it is asked again;
where it stays away nothing is written.
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import torch
from rich.console import Console
from rich.progress import Progress

from serve.client import HardNegatives, SampleOptions, Samples, joined
from serve.patience import ServiceError
from trainables.core.bounds import FiniteFloat, Length, NonNegativeInt, PositiveFloat, PositiveInt, Text, check
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build, require
from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, decode, with_deltas
from trainables.data.config import DataConfig
from trainables.data.dataset import load_splits
from trainables.detector.dataset.negatives import conditions_for, make
from trainables.detector.dataset.served_negatives import NotServedError, ServedMovements, write_served
from trainables.generation.conditions import Conditions
from trainables.training.checkpoint_record import CheckpointError

ABOUT = """
Draw hard negatives from the service and keep them, for trainable=detector negatives.served_folder=FOLDER.

  python -m platform.negatives url=http://127.0.0.1:8000 out_dir=results/negatives n=2000
  python -m platform.negatives url=http://127.0.0.1:8000 out_dir=results/hard n=500 hardness=[0.0,0.5]

A token is read from HUMOUSE_TOKEN.
"""


@dataclass(frozen=True)
class NegativesConfig:
    """Settings of the request to the service."""

    url: str = "http://127.0.0.1:8000"  # address of the service
    # folder to write, which must not exist yet
    out_dir: Annotated[str, Text("a folder", remedy="add out_dir=results/negatives")] = "results/negatives"
    n: PositiveInt = 2000  # movements to draw
    seed: NonNegativeInt = 0  # seed of the requests; each attempt has a stream of its own
    steps: PositiveInt | None = None  # network calls per sample; null: as the champion was evaluated
    # [low, high] of the published detector's score of each movement; null: any
    hardness: Annotated[tuple[FiniteFloat, ...], Length(2, 2)] | None = None
    timeout_s: PositiveFloat = 330.0  # seconds that one request may take
    data: DataConfig = field(default_factory=DataConfig)

    def __post_init__(self) -> None:
        check(self)


COMMAND = Command(
    module="platform.negatives",
    config_name="negatives",
    about=ABOUT,
    exit_codes={0: "written", 1: "the service refuses or does not answer"},
    schemas={"negatives_schema": NegativesConfig},
)


def main(request: Request) -> int:
    """Draw, say whose they are, write."""
    console, config = Console(), build(NegativesConfig, request.config)
    folder = Path(config.out_dir).expanduser().resolve()
    if folder.exists():
        raise CheckpointError(f"{folder}: it exists; take another out_dir, for nothing is written over")
    client = HardNegatives(config.url, timeout_s=config.timeout_s)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("drawing", total=config.n)
        try:
            drawn = draw(client, config, lambda n: progress.advance(bar, n))
        except ServiceError as error:
            raise NotServedError(error.line) from None
    write_served(drawn, folder)
    console.print(
        f"{folder}: {len(drawn.canonical)} movements of {drawn.model} ({drawn.model_sha256[:12]}), {drawn.refused} "
        "refused and drawn again",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def draw(client: HardNegatives, config: NegativesConfig, drawn: Callable[[int], object]) -> ServedMovements:
    """`n` movements of one champion; of those that cannot be used others are drawn, `ROUNDS` times at most.

    Args:
        drawn: Called with the number of movements of each chunk.

    Raises:
        ServiceError: the service refuses, or stays away.
        ShortageError: too many cannot be used.
    """
    form, said = config.data.canonical, list[Samples]()

    def of_champion(like: Canonical, attempt: int) -> Movements:
        asked = _asked(config, like, attempt)
        if said:
            asked |= {"model": said[0].model, "detector": said[0].detector}
        said.append(joined([*_told(client.stream(len(like), **asked), drawn)]))
        return decode(_placed(said[-1], like, config), form)

    like = conditions_for(load_splits(config.data)["train"], config.n, generator(config.seed, "served"))
    canonical, refused = make("served", of_champion, like, form)
    request = {name: getattr(config, name) for name in ("seed", "steps", "hardness")}
    if config.hardness is not None:
        request |= {"detector": said[0].detector, "looked_through": sum(int(each.number[-1]) + 1 for each in said)}
    return ServedMovements(canonical, form, said[0].model, said[0].weights_sha256, request, refused)


def _told(chunks: Iterable[Samples], drawn: Callable[[int], object]) -> Iterator[Samples]:
    for chunk in chunks:
        drawn(len(chunk))
        yield chunk


def _asked(config: NegativesConfig, like: Canonical, attempt: int) -> SampleOptions:
    """Return the options of a request; with a hardness the service samples the conditions itself."""
    seed = derive(config.seed, "served", attempt) >> 10  # a whole number that JSON readers keep
    asked: SampleOptions = {"seq_len": config.data.canonical.sequence_length, "seed": seed}
    if config.steps is not None:
        asked["steps"] = config.steps
    if config.hardness is not None:
        return {**asked, "hardness": (config.hardness[0], config.hardness[1])}
    return {**asked, "conditions": like.condition().tolist()}


def _placed(samples: Samples, like: Canonical, config: NegativesConfig) -> Canonical:
    """Return the movements under the conditions that they were sampled for.

    Raises:
        ConfigError: their steps are not those of the asked form.
    """
    form, frame = config.data.canonical, like
    if config.hardness is not None:
        frame = Conditions(samples.condition, samples.angle).frame(form, ("served",) * len(samples))
    steps = frame.mask.sum(dim=1)
    same = samples.deltas.shape == frame.deltas.shape and torch.equal(samples.length.long(), steps)
    require(same, "the canonical form of the champion to be that of `data.canonical`", f"{samples.model} and {form}")
    return with_deltas(frame, samples.deltas.double())


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
