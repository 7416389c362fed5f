"""Small files of every reader, made here: a hand's movements from one place to another, 16 ms apart."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
POINTS, STEP_MS, WAIT_MS = 40, 16.0, 600.0


def path(points: int = POINTS) -> tuple[Floats, Floats]:
    """Whole-pixel positions of a curved movement of 400 px that starts and ends slowly."""
    share = np.linspace(0.0, 1.0, points)
    along = share**3 * (10 - 15 * share + 6 * share**2)
    return np.rint(100 + 400 * along), np.rint(300 + 4 * share + 30 * np.sin(np.pi * share))


def clock(points: int = POINTS, step_ms: float = STEP_MS) -> Floats:
    """Regular time stamps in milliseconds from 0."""
    return step_ms * np.arange(points, dtype=np.float64)


def stream(movements: int = 3, points: int = POINTS) -> pd.DataFrame:
    """Events of movements that each begin at one place, as trials do."""
    x, y = path(points)
    begins = (points * STEP_MS + WAIT_MS) * np.arange(movements)
    t_ms = (begins[:, None] + clock(points)).ravel()
    return pd.DataFrame({"t_ms": t_ms, "x": np.tile(x, movements), "y": np.tile(y, movements)})


def events(movements: int = 3, user: str = "u1", session: str = "s1") -> pd.DataFrame:
    """A table of events."""
    return stream(movements).assign(user=user, session=session)


def write_table(folder: Path) -> Path:
    """Write a CSV file of events."""
    file = folder / "mine.csv"
    events().to_csv(file, index=False)
    return file


def write_page(folder: Path) -> Path:
    """Write what the page of the service saves."""
    frame = stream(1).assign(source="page", user="visitor", session="2026-01-01T10:00:00.000Z")
    goals = [frame.assign(target_x=goal, target_y=300, target_width=32) for goal in (500, 100, 500)]
    for number, goal in enumerate(goals):
        goal["t_ms"] += number * (POINTS * STEP_MS + 30.0)
        if number % 2:
            goal["x"] = goal["x"].to_numpy()[::-1]
    file = folder / "movements-2026-01-01T10-00-00-000Z.csv"
    pd.concat(goals).to_csv(file, index=False)
    return file


def write_events(folder: Path) -> Path:
    """Write DOM pointer events as JSON lines."""
    file = folder / "log.jsonl"
    rows = [
        {"type": "pointermove", "timeStamp": t + 0.1, "clientX": x, "clientY": y, "pointerType": "mouse"}
        for t, x, y in stream().itertuples(index=False)
    ]
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return file


def write_balabit(folder: Path) -> Path:
    """Write a session of Balabit."""
    lines = ["record timestamp,client timestamp,button,state,x,y"]
    lines += [
        f"{t / 1000:.3f},{t / 1000:.3f},NoButton,Move,{x:.0f},{y:.0f}" for t, x, y in stream().itertuples(index=False)
    ]
    return _session(folder, "session_1", lines)


def write_sapimouse(folder: Path) -> Path:
    """Write a session of SapiMouse."""
    lines = ["client timestamp,button,state,x,y"]
    lines += [f"{t:.0f},NoButton,Move,{x:.0f},{y:.0f}" for t, x, y in stream().itertuples(index=False)]
    return _session(folder, "session_1.csv", lines)


def _session(folder: Path, name: str, lines: list[str]) -> Path:
    file = folder / "user7" / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def mousetracker_text(tracks: list[tuple[Floats, Floats, Floats]], subject: str = "7") -> str:
    """Return a file of MouseTracker with one trial for each (t_ms, x, y)."""
    head, lines = "subjID,stim,order,condition,comments,timestamps,", [f"{subject},200,0", ""]
    for title, axis in (("X coordinates", 1), ("Y coordinates", 2), ("time", 0)):
        lines += [f"RAW TRACKS ({title})", head]
        for order, track in enumerate(tracks, start=1):
            values = ",".join(f"{value:g}" for value in track[axis])
            lines.append(f"{subject},blank.jpg,{order},a,,101,{values}")
        lines.append("")
    return "\r\n".join(lines)


def write_mousetracker(folder: Path) -> Path:
    """Write a file of MouseTracker, each trial with a rest at its beginning."""
    x, y = (np.concatenate([np.full(10, axis[0]), axis]) for axis in path())
    file = folder / "7_200101_1200.mt"
    file.write_text(mousetracker_text([(STEP_MS + clock(len(x)), x, y)] * 3), encoding="utf-8")
    return file


def write_mousetrap(folder: Path) -> Path:
    """Write an export of OpenSesame with the origin at the centre of the screen."""
    x, y = path()
    rows = [
        {
            "subject_nr": 4,
            "timestamps_get_response": json.dumps((90_000.0 + number * 5000 + clock()).tolist()),
            "xpos_get_response": json.dumps((x - 640).tolist()),
            "ypos_get_response": json.dumps((y - 360).tolist()),
        }
        for number in range(3)
    ]
    file = folder / "subject-4.csv"
    pd.DataFrame(rows).to_csv(file, index=False)
    return file


def write_jspsych(folder: Path) -> Path:
    """Write an export of jsPsych, with a screen that was not tracked before each trial."""
    x, y = path()
    points = [
        {"x": a, "y": b, "t": t, "event": "mousemove"}
        for a, b, t in zip(x, y, STEP_MS * np.arange(POINTS), strict=True)
    ]
    trials: list[dict[str, object]] = []
    for _ in range(3):
        trials += [{"trial_type": "instructions", "subject": "ann"}]
        trials += [{"trial_type": "image", "subject": "ann", "mouse_tracking_data": points}]
    file = folder / "data.json"
    file.write_text(json.dumps(trials), encoding="utf-8")
    return file


EXAMPLES: dict[str, Callable[[Path], Path]] = {
    "balabit": write_balabit,
    "sapimouse": write_sapimouse,
    "table": write_table,
    "page": write_page,
    "events": write_events,
    "mousetracker": write_mousetracker,
    "mousetrap": write_mousetrap,
    "jspsych": write_jspsych,
}
"""Reader -> function that writes a file of three movements of one user into a folder, and returns it."""
