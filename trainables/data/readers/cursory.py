"""The default data set: the 2,356 recordings that the package `cursory` (LGPL) carries.

The file is read from the installed package, which is not imported and of which nothing is copied. It stores movements
that are segmented already, in complete sessions one after another, without names of users. The user of a row is known
for exactly this file only, so the file is identified by its hash.

Facts: 1,273 recordings start at a time other than 0, and all are shifted to start at 0; 10 have two points of one time,
which is allowed (the later one holds); 27 % have a gap over 100 ms; 230 have times and 34 positions between whole
numbers. No rule for movements is applied here, since nothing is cut: every recording is returned.
"""

import gzip
import hashlib
import importlib.metadata
import json
import zlib
from bisect import bisect_right
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from trainables.data.readers.reader import Piece, Reader
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet

SHA256 = "84468e214bf23c5ec422d566f5d3412a532b95feafd584bc0d54ade33035d9b8"  # of the decompressed file
BYTES = 2_023_688  # of it
REMEDY = "install cursory==2.1.0, or choose another `source`"

# Where each session block of the file begins (row).
BLOCK_STARTS = (0, 93, 138, 213, 450, 512, 650, 669, 915, 1068, 1266, 1513, 1698, 2262)

# (first row, SapiMouse user): recovered by matching the recordings with the public SapiMouse sessions, and named as
# there, so that one user falls into one split whichever data set the recording came from. From UNKNOWN_FROM
# on no user could be recovered, and the session block stands for the user.
USER_STARTS = (
    *((0, 64), (93, 119), (138, 90), (213, 63), (261, 55), (296, 52), (331, 110), (357, 39), (364, 37), (375, 30)),
    *((403, 53), (405, 111), (410, 116), (417, 62), (438, 96), (442, 91), (445, 105), (450, 71), (451, 84), (512, 48)),
    *((514, 83), (530, 77), (542, 103), (553, 41), (581, 79), (588, 104), (601, 46), (611, 33), (617, 34), (630, 60)),
    *((636, 67), (637, 93), (639, 58), (669, 51), (675, 113), (679, 56), (707, 35), (708, 57), (710, 115), (715, 50)),
    *((725, 112), (744, 92), (752, 66), (756, 61), (760, 95), (764, 8), (774, 6), (816, 1), (842, 7), (852, 101)),
    *((853, 43), (856, 106), (862, 86), (867, 108), (871, 81), (891, 21), (915, 26), (950, 19), (980, 74), (1066, 11)),
)
UNKNOWN_FROM = 1069

_USER_ROWS = [row for row, _ in USER_STARTS]


def read_cursory(path: Path | None = None) -> RecordingSet:
    """Read the recordings of the installed package `cursory`, all 2,356 in the file's order.

    The user is "sapimouse/user64" where recovered, else "cursory/block9", and the source the part before the slash: the
    recordings of unnamed users are not those of SapiMouse. The session is the block, "block3".

    Raises:
        RecordingError: the package or its file is missing, the file is not the known one, or a `path` was given.
    """
    if path is not None:
        law = "expected no `path` with source=cursory, which reads the installed package"
        raise RecordingError(f"{law}, but got {path}; leave it out, or set source=table")
    rows = json.loads(_content())
    recordings = tuple(_recording(number, row) for number, row in enumerate(rows))
    return RecordingSet(recordings, read=len(recordings))


def block_of(row: int) -> str:
    """The session block of a row of the file."""
    return f"block{bisect_right(BLOCK_STARTS, row) - 1}"


def user_of(row: int) -> str:
    """Return the user who made the recording in a row of the file, as far as known."""
    if row >= UNKNOWN_FROM:
        return f"cursory/{block_of(row)}"
    _, number = USER_STARTS[bisect_right(_USER_ROWS, row) - 1]
    return f"sapimouse/user{number}"


def _recording(number: int, row: dict[str, Any]) -> Recording:
    t_ms = np.array(row["timing"], dtype=np.float64)
    x, y = np.array(row["points"], dtype=np.float64).T
    user = user_of(number)
    return Recording(t_ms - t_ms[0], x, y, user.partition("/")[0], user, block_of(number))


def _content() -> bytes:
    """The decompressed file, known by its hash."""
    file = _file()
    try:
        content = gzip.decompress(file.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise RecordingError(f"{file}: cannot be read: {error}; {REMEDY}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256:
        raise RecordingError(
            f"{file}: expected the recordings of cursory 2.0.1 or 2.1.0 (sha256 {SHA256[:12]}...), "
            f"since users are known by row, but got {found[:12]}...; {REMEDY}"
        )
    return content


def _file() -> Path:
    try:
        files = importlib.metadata.files("cursory") or []
    except importlib.metadata.PackageNotFoundError:
        raise RecordingError(f"the package cursory, which carries the recordings, is missing; {REMEDY}") from None
    for entry in files:
        if entry.name.endswith("trajectories.json.gz"):
            return Path(str(entry.locate()))
    raise RecordingError(f"the installed package cursory holds no trajectories.json.gz; {REMEDY}")


CURSORY_READER = Reader(
    lambda path, options: [Piece(partial(read_cursory, path), BYTES, BYTES)],
    "the recordings inside the installed package",
)
