"""Account of the options a generator was trained with: frame, still steps, averaged weights, earlier models."""

from collections.abc import Mapping
from typing import Any

from trainables.data.config import FRAME_NAMES
from trainables.diffusion.config import recorded_motion
from trainables.diffusion.state import INIT_FROM, REWEIGHT

FRAMES = {
    "chord": "chord: movements are seen turned, with their net displacement along +x",
    "quarter_turn": "quarter_turn: movements are seen turned by multiples of 90 degrees, with the rest of the "
    "direction as a condition",
}


def training_account(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain values from the record of a checkpoint; None where a model has no such option."""
    config = record["config"]
    motion, optim, reweight = config.get("motion"), config.get("optim") or {}, record.get(REWEIGHT)
    return {
        "frame": record.get("frame", FRAME_NAMES[0]),
        "motion": None if motion is None else vars(recorded_motion(config)),
        "averaging": {key: optim[key] for key in ("ema_decay", "ema_width") if optim.get(key) is not None} or None,
        INIT_FROM: (record.get(INIT_FROM) or {}).get("weights_sha256"),
        REWEIGHT: None if reweight is None else dict(reweight),
    }


def training_lines(account: Mapping[str, Any]) -> list[str]:
    """Return the account as sentences.

    >>> given = {"frame": "chord", "motion": None, "averaging": {"ema_decay": 0.999}, "init_from": None}
    >>> training_lines({**given, "reweight": None})[1:]
    ['Averaged weights: decay 0.999 per step, after a warm-up.']
    """
    lines, motion = [f"Frame: {FRAMES[account['frame']]}."], account["motion"]
    if motion is not None:
        channel = "a channel beside the steps" if motion["channel"] else "rounding to pixels alone"
        ends = "a condition" if motion["ends"] else "no condition"
        lines.append(f"Still steps: decided by {channel}; whether the first and the last step move is {ends}.")
    lines.append(f"Averaged weights: {_averaging(account['averaging'])}.")
    if account[INIT_FROM] is not None:
        lines.append(f"Training began with the weights {account[INIT_FROM][:16]}.")
    if account[REWEIGHT] is not None:
        weights = account[REWEIGHT]
        lines.append(
            f"Movements were weighted in the loss by the selector {weights['selector_sha256'][:16]}, strength "
            f"{weights['strength']:g}, weights at most {weights['max_weight']:g}: {', '.join(weights['sources'])}."
        )
    return lines


def _averaging(found: Mapping[str, float] | None) -> str:
    if found is None:
        return "none"
    if "ema_width" in found:
        return f"power function of a relative width of {found['ema_width']:g} of the steps"
    return f"decay {found['ema_decay']:g} per step, after a warm-up"
