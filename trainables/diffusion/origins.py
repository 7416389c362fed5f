"""What a training begins with from earlier checkpoints: their averaged weights, and weights of movements in the loss.

Both are of the same data: a network expects the standardisation that it was trained with, and a ratio is one of
training users.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from trainables.core.config import build, plain, require
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion.api import load_generator
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.state import INIT_FROM, KIND, REWEIGHT, State
from trainables.generation.selection.loss_weights import LossWeights, loss_weights
from trainables.training.checkpoint import CheckpointError, load_checkpoint_of, load_record, select, weights_that_fit
from trainables.training.checkpoint_record import SELECTOR, require_not_distilled, require_same_data

NETWORK = ("model", "motion", "diffusion", "latent", "data")  # groups of keys that a network was trained for
OF_THE_LOSS = ("model.dropout", "diffusion.min_snr_gamma", "diffusion.condition_dropout", "diffusion.estimate_share")


def load_initial_weights(state: State, config: DiffusionConfig, splits: DataSplits) -> dict[str, Any]:
    """Begin with the averaged weights of the checkpoint `config.init_from`; returns plain values for the record.

    Raises:
        ConfigError: Its network, diffusion or data differ from those of this training.
        CheckpointError: It is no whole checkpoint of a diffusion of the same data, or distilled.
    """
    folder = Path(config.init_from)
    tensors, record = load_checkpoint_of(KIND, folder)
    require_not_distilled(folder, record, "as initial weights")
    with weights_that_fit(folder):
        own = plain(build(DiffusionConfig, record["config"]))
    mine = plain(config)
    found = [each for group in NETWORK for each in differences(mine[group], own[group], group)]
    found = [(key, pair) for key, pair in found if key not in OF_THE_LOSS]  # which may be other ones
    require_alike(found, "the network and the data of the initial weights")
    require_same_data(folder, record, splits.sha256)
    averaged = select("ema", tensors)
    with weights_that_fit(folder):
        state.model.load_state_dict(averaged)
        state.ema.model.load_state_dict(averaged)
        if state.autoencoder is not None:
            state.autoencoder.load_state_dict(select("autoencoder", tensors))
    return {INIT_FROM: {"weights_sha256": record["weights_sha256"], "epoch": record.get("epoch")}}


def movement_weights(config: DiffusionConfig, splits: DataSplits) -> LossWeights | None:
    """Return the weights of training movements by the selector in `config.reweight.checkpoint`; None without one.

    Raises:
        CheckpointError: It is no whole checkpoint of a diffusion with a selector, or one of other data.
    """
    if not config.reweight.checkpoint:
        return None
    folder = Path(config.reweight.checkpoint)
    require_same_data(folder, load_record(folder), splits.sha256)
    model = load_generator(folder)
    if model.selector is None:
        remedy = f"fit one with `python -m platform.selector ckpt={folder}`"
        raise CheckpointError(f"{folder}: expected a checkpoint with a selector for reweight.checkpoint; {remedy}")
    require_same_data(folder / SELECTOR, model.selector.record, splits.sha256)
    return loss_weights(model.selector, splits["train"], model.canonical, model.training_conditions, config.reweight)


def require_same_weights(checkpoint: Path, state: State, origin: Mapping[str, Any]) -> None:
    """Raise CheckpointError where a run is resumed with other weights in the loss than it began with."""
    began, now = state.origin.get(REWEIGHT), origin.get(REWEIGHT)
    if began != now:
        raise CheckpointError(
            f"{checkpoint}: began with weights in the loss by another selector than the present one of "
            "reweight.checkpoint; start a new run"
        )


def require_alike(found: list[tuple[str, tuple[Any, Any]]], law: str) -> None:
    """Raise ConfigError where keys differ, see `differences`."""
    own, theirs = (", ".join(f"{key}={pair[side]}" for key, pair in found) for side in (0, 1))
    keys = " ".join(f"trainable.{key}={pair[1]}" for key, pair in found)
    require(not found, f"{law}, {theirs}", own, f"set {keys}")


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any], at: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    """Yield keys whose values differ, with both; where the data lie may differ."""
    for key, value in mine.items():
        if isinstance(value, Mapping):
            yield from differences(value, theirs[key], f"{at}.{key}")
        elif value != theirs[key] and key not in ("path", "sources"):
            yield f"{at}.{key}", (value, theirs[key])
