"""The account of a training on a card: every option of a record is a sentence, and older records read as they were."""

from typing import Any

import pytest

from trainables.data.config import FRAME_NAMES
from trainables.model_evaluation.training_account import FRAMES, training_account, training_lines

REWEIGHT = {"selector_sha256": "c" * 64, "strength": 0.5, "max_weight": 5.0, "sources": {"mouse": {}, "pen": {}}}


def test_every_frame_has_its_sentence() -> None:
    assert tuple(FRAMES) == FRAME_NAMES


@pytest.mark.parametrize(
    ("record", "lines"),
    [
        ({"config": {}}, [f"Frame: {FRAMES['chord']}.", "Averaged weights: none."]),
        (
            {
                "frame": "quarter_turn",
                "config": {
                    "data": {"canonical": {}},
                    "motion": {"channel": None, "ends": True},  # null: as the sequences allow
                    "optim": {"ema_decay": 0.999, "ema_width": 0.1},
                },
                "init_from": {"weights_sha256": "a" * 64},
                "reweight": REWEIGHT,
            },
            [
                f"Frame: {FRAMES['quarter_turn']}.",
                (
                    "Still steps: decided by a channel beside the steps; whether the first and the last step move is a "
                    "condition."
                ),
                "Averaged weights: power function of a relative width of 0.1 of the steps.",
                "Training began with the weights aaaaaaaaaaaaaaaa.",
                (
                    "Movements were weighted in the loss by the selector cccccccccccccccc, strength 0.5, weights at "
                    "most 5: mouse, pen."
                ),
            ],
        ),
    ],
    ids=["older", "every option"],
)
def test_each_option_of_a_record_is_a_sentence(record: dict[str, Any], lines: list[str]) -> None:
    assert training_lines(training_account(record)) == lines
