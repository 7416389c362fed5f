"""What each kind of trainable is judged by: the one table of its figures, and how tables and reports tell them.

A search, a run, a report and a reproduction read this table; none of them knows a kind by its name. Of a kind's figures
the first is the headline. It orders the leaderboard, its objective is what a search minimises, and the second breaks
ties. A headline with a `chance` is read beside real people judged against each other, which is luck alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from trainables.training.metric_names import (
    TRAIN_LOSS,
    VAL_C2ST,
    VAL_C2ST_EXCESS,
    VAL_FNR_SEEN,
    VAL_FNR_UNSEEN,
    VAL_FNR_WORST_UNSEEN,
    VAL_MMD,
)

DIGITS = 4  # of a metric that the table does not know
CHANCE = 0.5  # the C2ST of movements that cannot be told from people's


@dataclass(frozen=True)
class Figure:
    """How a metric is told.

    Attributes:
        title: In the head of a table on a terminal.
        symbol: In a report; empty: the title.
        chance: What luck alone gives; None where luck has no value of its own.
        excess: The metric that is max(0, this one - chance), in whose place this one is shown; empty: none is reported.
    """

    title: str
    digits: int = DIGITS
    symbol: str = ""
    chance: float | None = None
    excess: str = ""


FIGURES: Mapping[str, Figure] = {
    TRAIN_LOSS: Figure("loss"),
    VAL_C2ST: Figure("C2ST", digits=3, chance=CHANCE, excess=VAL_C2ST_EXCESS),
    VAL_MMD: Figure("MMD", symbol="MMD²"),
    VAL_FNR_WORST_UNSEEN: Figure("worst FNR", digits=3),
    VAL_FNR_UNSEEN: Figure("unseen FNR", digits=3),
    VAL_FNR_SEEN: Figure("seen FNR", digits=3),
}


@dataclass(frozen=True)
class Criteria:
    """What one kind of trainable is judged by.

    Attributes:
        figures: That tables show, the headline first.
        scale: Of the headline, for an axis: "0.5: cannot be told apart".
        meaning: Of the headline, in the words of a table's title.
        explained: The same in sentences, for a report.
        against: What the figures of the validation split are measured on.
        drawn: What a fresh seed draws anew when the best are judged again.
        pictured: What the pictures of the best show.
        closer: The module that looks closer at a checkpoint, ckpt=FOLDER.
        instead: What orders the epochs of a run that has none of the figures.
    """

    figures: tuple[str, ...]
    scale: str
    meaning: str
    explained: str
    against: str
    drawn: str
    pictured: str
    closer: str
    instead: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The figure that says how good one is."""
        return self.figures[0]

    @property
    def second(self) -> str:
        """The figure beside it."""
        return self.figures[1]

    @property
    def objective(self) -> str:
        """What a search minimises: the headline, or its excess over chance."""
        return FIGURES[self.headline].excess or self.headline

    @property
    def title(self) -> str:
        """The headline in the head of a table."""
        return title(self.headline)


GENERATION = Criteria(
    figures=(VAL_C2ST, VAL_MMD),
    scale=f"{CHANCE}: cannot be told apart",
    meaning=f"C2ST on held-out people ({CHANCE}: cannot be told apart)",
    explained="C2ST on held-out people: the share of movements that a probe attributes rightly. One half means that "
    "they cannot be told apart.",
    against="against real movements of the validation split",
    drawn="noise",
    pictured="samples",
    closer="platform.evaluate",
)
DETECTION = Criteria(
    figures=(VAL_FNR_WORST_UNSEEN, VAL_FNR_UNSEEN),
    scale="0: every bot is caught",
    meaning="Bots missed, of the worst family never trained on (0: every bot is caught)",
    explained="Bots missed: of every family that was never trained on, the share of its movements that are not accused "
    "at a threshold fixed on held-out people, of whom only a small share may be accused (judgement.fpr). The largest "
    "of these shares counts.",
    against="against bots under the conditions of the validation split",
    drawn="bots",
    pictured="scores",
    closer="trainables.detector.judge",
    instead=(VAL_FNR_SEEN,),  # where no family is held out
)
CRITERIA: Mapping[str, Criteria] = {"diffusion": GENERATION, "gan": GENERATION, "detector": DETECTION}
"""Name of a trainable, which is the kind of its checkpoints -> what it is judged by."""

_RAW = {figure.excess: name for name, figure in FIGURES.items() if figure.excess}

ORDER = tuple(name for c in dict.fromkeys(CRITERIA.values()) for name in (c.objective, *c.figures[1:], *c.instead))
"""What orders the epochs of a run, of whatever kind: it has the figures of one kind alone."""


def shown_as(metric: str) -> str:
    """The metric that is shown in the place of another one: a figure itself in that of its excess.

    >>> shown_as("val/c2st_excess"), shown_as("val/mmd")
    ('val/c2st', 'val/mmd')
    """
    return _RAW.get(metric, metric)


def offset(metric: str) -> float:
    """What a metric lacks of the one that is shown in its place: chance, where it is an excess."""
    return (FIGURES[_RAW[metric]].chance or 0.0) if metric in _RAW else 0.0


def title(metric: str) -> str:
    """A metric in the head of a table; its name where the table has none."""
    return FIGURES[metric].title if metric in FIGURES else metric


def symbol(metric: str) -> str:
    """A metric in a report."""
    return (FIGURES[metric].symbol if metric in FIGURES else "") or title(metric)


def digits(metric: str) -> int:
    """How many digits of a metric are told."""
    return FIGURES[metric].digits if metric in FIGURES else DIGITS
