"""A detector as ONNX, and the detector that scores with such a file."""

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnxruntime
import torch
from jaxtyping import Bool, Float
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf
from rich.console import Console
from torch import Tensor, nn
from torch.nn.functional import pad

from trainables.core.config import build, plain, require
from trainables.data.canonical import Canonical
from trainables.data.companding import compand
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import ExportConfig
from trainables.detector.dataset.training_set import columns, direction
from trainables.training.checkpoint import CheckpointError, load_record

UNREADABLE = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf)  # errors of a file that is no model
INPUTS = ("steps_px", "mask", "columns", "angle")


class Scorer(nn.Module):
    """Network from unscaled movements to the probability of a bot."""

    def __init__(self, detector: Detector) -> None:
        super().__init__()
        self.network, self.scaling, self.temperature = detector.model, detector.scaling, detector.temperature

    def forward(
        self,
        steps_px: Float[Tensor, "B T C"],
        mask: Bool[Tensor, "B T"],
        columns: Float[Tensor, "B F"],
        angle: Float[Tensor, "B"],
    ) -> Float[Tensor, "B"]:
        """Compute the probabilities; steps and angle in float32, since ONNX Runtime has no asinh in float64."""
        mean, std, scale_px = (getattr(self.scaling.steps, name).float() for name in ("mean", "std", "scale_px"))
        z = (compand(steps_px, scale_px) - mean) / std * mask[:, :, None]
        outputs = self.network(z, mask, self.scaling.features(columns), direction(angle))
        score: Tensor = (outputs.logit / self.temperature).sigmoid()
        return score


@dataclass(frozen=True, eq=False)
class OnnxDetector:
    """Exported detector, on one thread.

    Attributes:
        session: Inference session of ONNX Runtime.
    """

    session: Any
    canonical: CanonicalConfig

    @classmethod
    def load(cls, file: Path) -> "OnnxDetector":
        """Load a file of `export`. Raises CheckpointError for an absent file, or another one."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        try:
            session = onnxruntime.InferenceSession(file.read_bytes(), options, providers=["CPUExecutionProvider"])
            metadata = session.get_modelmeta().custom_metadata_map
            return cls(session, build(CanonicalConfig, json.loads(metadata["canonical"])))
        except (KeyError, OSError, ValueError, *UNREADABLE) as error:
            raise CheckpointError(f"{file}: not an exported detector: {str(error).splitlines()[0]}") from None

    def score(self, canonical: Canonical) -> Float[Tensor, "N"]:
        """Return the probability of a bot for each movement, equal to `Detector.score` up to rounding."""
        inputs = arguments(canonical, self.canonical)
        (score,) = self.session.run(["score"], {name: part.numpy() for name, part in zip(INPUTS, inputs, strict=True)})
        return torch.from_numpy(score).double()


def arguments(canonical: Canonical, form: CanonicalConfig) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the arguments of `Scorer`, padded to the length of the form."""
    more = form.sequence_length - canonical.mask.shape[1]
    steps, mask = pad(canonical.steps_px(), (0, 0, 0, more)), pad(canonical.mask, (0, more))
    return steps.float(), mask, columns(canonical), canonical.angle.float()


def export(detector: Detector, example: Canonical, metadata: dict[str, str], file: Path) -> None:
    """Write the detector as ONNX, for any number of movements of the length of the form.

    Args:
        example: Two movements or more.
        metadata: Written into the file.

    Raises:
        ConfigError: The detector reads goal consistency, which its critic measures outside of the network.
    """
    require(
        detector.scaling.goals is None,
        "a detector without a critic",
        "one that reads goal consistency",
        "train it without critic_checkpoint, or score with its checkpoint",
    )
    inputs = arguments(example, detector.canonical)
    batch = torch.export.Dim("batch")
    with _quiet():
        program = torch.onnx.export(
            Scorer(detector).eval(),
            inputs,
            input_names=list(INPUTS),
            output_names=["score"],
            dynamic_shapes=({0: batch},) * len(INPUTS),
            dynamo=True,
            verbose=False,
        )
    assert program is not None, "dynamo=True returns a program"
    program.model.metadata_props.update({"canonical": json.dumps(plain(detector.canonical)), **metadata})
    program.save(file)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the messages of PyTorch 2.13 during an export: deprecations, and the absence of torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "`isinstance\\(treespec", FutureWarning)
            warnings.filterwarnings("ignore", "# The axis name", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def export_checkpoint(config: ExportConfig) -> int:
    """Export, score the validation split with both, and print their largest difference."""
    checkpoint, out = Path(config.ckpt), Path(config.out)
    record = load_record(checkpoint)
    detector = load_trained_detector(checkpoint)
    out.parent.mkdir(parents=True, exist_ok=True)
    example = load_splits(build(DataConfig, record["config"]["data"]))["validation"]
    export(detector, example.take(torch.arange(2)), {"weights_sha256": str(record["weights_sha256"])}, out)
    difference = (OnnxDetector.load(out).score(example) - detector.score(example)).abs().max().item()
    Console(soft_wrap=True).print(
        f"{out}: scores {len(example)} movements as the checkpoint does, up to {difference:.1e}"
    )
    return 0
