"""`python -m docs.generate.movements CHECKPOINT`: write the picture of README.md, docs/images/movements.png.

Recorded movements of the training split stand beside samples of a generator under the same conditions, a dot per 60 Hz
step, from the ring to the dot. Recordings that agree with the SapiMouse data set are left out (see NOTICE): of the
default ones those remain that are trained on only.
"""

import argparse
import io
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from trainables.core.config import build
from trainables.data.canonical import Canonical, decode, encode
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.eval.plot_style import FAKE, REAL
from trainables.models import load_generator
from trainables.training.checkpoint import load_record

ROOT = Path(__file__).resolve().parents[2]
PICTURE = ROOT / "docs" / "images" / "movements.png"
ROWS, COLUMNS, SPLIT = 4, 5, "train"
LEFT_OUT = "sapimouse"
DPI, COLOURS = 160, 32


def pairs(checkpoint: Path, seed: int) -> tuple[Canonical, Canonical]:
    """Return recorded movements, and a sample under the conditions of each, both in whole pixels."""
    generator = load_generator(checkpoint)
    real = shown(checkpoint, seed).take(torch.arange(ROWS * COLUMNS))
    return real, encode(decode(generator.sample_matching(real, seed=seed), generator.canonical), generator.canonical)


def shown(checkpoint: Path, seed: int) -> Canonical:
    """Return the recorded movements that may be drawn of the data of a checkpoint, in random order."""
    split = load_splits(build(DataConfig, load_record(checkpoint)["config"]["data"])).splits[SPLIT]
    allowed = torch.tensor([row for row, source in enumerate(split.source) if source != LEFT_OUT])
    return split.take(allowed[torch.randperm(len(allowed), generator=torch.Generator().manual_seed(seed))])


def draw(real: Canonical, fake: Canonical, fake_name: str = "generated") -> Figure:
    """Return the figure: recorded movements on the left, the others at the same places on the right."""
    figure = Figure(figsize=(10.0, 3.9), dpi=DPI, facecolor="white")
    for side, (part, name, colour) in enumerate(((real, "recorded", REAL), (fake, fake_name, FAKE))):
        left = 0.01 + 0.5 * side
        figure.text(left + 0.24, 0.955, name, ha="center", va="center", fontsize=13, color=colour, weight="bold")
        for place in range(ROWS * COLUMNS):
            row, column = divmod(place, COLUMNS)
            box = (left + 0.48 * column / COLUMNS, 0.9 * (ROWS - 1 - row) / ROWS + 0.01, 0.46 / COLUMNS, 0.86 / ROWS)
            path(figure.add_axes(box), part.deltas[place][part.mask[place]], colour)
    return figure


def path(axis: Axes, steps: torch.Tensor, colour: str) -> None:
    """Draw one movement from the ring to the dot."""
    points = torch.cat([torch.zeros(1, 2), steps[:, :2].float().cumsum(dim=0)]).numpy()
    axis.plot(points[:, 0], points[:, 1], color=colour, linewidth=0.9, marker=".", markersize=2.6)
    axis.plot(0, 0, color="#333333", marker="o", markersize=4, fillstyle="none", markeredgewidth=0.8)
    axis.plot(1, 0, color="#333333", marker="o", markersize=3)
    axis.set_xlim(-0.18, 1.18)
    height = max(0.34, 1.15 * float(abs(points[:, 1]).max()))
    axis.set_ylim(height, -height)
    axis.set_axis_off()


def main() -> None:
    """Draw and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=Path, help="folder of a generator's checkpoint")
    parser.add_argument("--seed", type=int, default=3, help="of the choice of recordings and of the noise")
    parser.add_argument("--output", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    write(draw(*pairs(arguments.checkpoint, arguments.seed)), arguments.output)


def write(figure: Figure, file: Path, colours: int = COLOURS) -> None:
    """Write a picture with few colours, which keeps it small."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI)
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.open(drawn).convert("RGB").quantize(colours).save(file, optimize=True)
    print(f"wrote {file}, {file.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
