"""`python -m trainables.detector.export`: export a detector as ONNX, to score single movements in under a millisecond.

    python -m trainables.detector.export ckpt=FOLDER out=detector.onnx

The file holds the averaged network with its scaling and temperature, the hash of the checkpoint and the canonical form;
`trainables.detector.onnx_export.OnnxDetector` scores with it. It takes movements of the full length of the form, so
that it gains little in batches: there PyTorch leaves out the common padding.

What imports torch is imported when the work begins, so that `--help` starts without it.
"""

import sys

from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.detector.config import ExportConfig

COMMAND = Command(
    module="trainables.detector.export",
    config_name="detector/export",
    about="Export a detector as ONNX:\n\n  python -m trainables.detector.export ckpt=FOLDER out=detector.onnx",
    schemas={"detector/export_schema": ExportConfig},
)


def main(request: Request) -> int:
    """Export, score the validation split with both, and print their largest difference."""
    config = build(ExportConfig, request.config)
    from trainables.detector.onnx_export import export_checkpoint

    return export_checkpoint(config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
