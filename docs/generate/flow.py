"""`python -m docs.generate.flow`: write the boxes of the flow in README.md as docs/images/flow/*.svg.

Each box is a file of its own, so that a page can link each of them to the page that explains it: links inside of a
picture are followed neither by GitHub nor by a package index. Boxes carry their arrow to the next one on their right.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "images" / "flow"
WIDTH, HEIGHT, ARROW = 118, 60, 18  # of a piece, and of the part of it that is the arrow
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


class Box(NamedTuple):
    """A step of the flow: its name, what happens in it, and the colour of its kind."""

    title: str
    detail: str
    colour: str
    arrow: bool = True


DATA, SEARCH, USE = "#dbeafe", "#dcfce7", "#fef3c7"
BOXES: Mapping[str, Box] = {
    "data": Box("recordings", "60 Hz, split by user", DATA),
    "train": Box("train", "diffusion or GAN", SEARCH),
    "search": Box("search", "Ray Tune + Optuna", SEARCH),
    "evaluate": Box("evaluate", "C2ST, MMD, PRD", SEARCH),
    "promote": Box("promote", "paired test", USE),
    "serve": Box("serve", "HTTP, Python", USE),
    "detector": Box("detector", "hard negatives", USE, arrow=False),
}


def svg(box: Box) -> str:
    """Return one piece: a box with its two lines, and the arrow to the next one."""
    width = WIDTH if box.arrow else WIDTH - ARROW
    middle, centre = HEIGHT / 2, (WIDTH - ARROW) / 2
    arrow = (
        f'<path d="M{WIDTH - ARROW + 2} {middle}H{WIDTH - 8}" stroke="#6b7280" stroke-width="2"/>'
        f'<path d="M{WIDTH - 9} {middle - 5}l8 5l-8 5z" fill="#6b7280"/>'
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{HEIGHT}" viewBox="0 0 {width} {HEIGHT}">'
        f'<rect x="1" y="6" width="{WIDTH - ARROW - 2}" height="{HEIGHT - 12}" rx="8" fill="{box.colour}" '
        f'stroke="#6b7280"/><g font-family="{FONT}" text-anchor="middle" fill="#111827">'
        f'<text x="{centre}" y="28" font-size="13" font-weight="600">{box.title}</text>'
        f'<text x="{centre}" y="43" font-size="9">{box.detail}</text></g>{arrow if box.arrow else ""}</svg>\n'
    )


def main() -> None:
    """Write every piece."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, box in BOXES.items():
        (FOLDER / f"{name}.svg").write_text(svg(box), encoding="utf-8")
    print(f"wrote {len(BOXES)} boxes to {FOLDER.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
