"""Read, observe, split and encode the recordings of a configuration, once for all processes of a machine."""

import functools
import hashlib
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from trainables.core.config import digest, plain, require, with_absolute_paths
from trainables.data.canonical import TENSORS, Canonical
from trainables.data.config import DataConfig
from trainables.data.readers.files import state_of
from trainables.data.readers.left_out import LeftOut
from trainables.data.readers.reading_progress import shown
from trainables.data.readers.recordings import RecordingError, data_files, data_pieces
from trainables.data.splits.assignment import TRAINED, Usable, assign
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.derived import STORED
from trainables.data.splits.parts import PLACES, Kept, Part, written_groups
from trainables.data.splits.statistics import Statistics, fit_statistics
from trainables.data.splits.store import PreparedSet, States, Writer, content_hashes, key_of, prepared_set
from trainables.training.manifest import code_sha256

CODE = Path(__file__).resolve().parents[1]  # all of `trainables.data`
PARTS, STATISTICS = "parts", "statistics"
NOT_IN_FOLDS = "of users of the holdout split, whom folds leave out"


@functools.lru_cache(maxsize=2)
def load_splits(config: DataConfig) -> DataSplits:
    """Return the splits of a configuration, mapped from the store of prepared data; prepared first where they are new.

    Raises:
        RecordingError: the recordings cannot be read.
        ConfigError: as `assign`; or the store cannot be written.
    """
    before = _states(config)
    try:
        contents = content_hashes(before)
    except OSError as error:
        law = f"{error.filename}: cannot be read: {error.strerror}"
        raise RecordingError(f"{law}; check that it is there and that you may read it") from error
    named = [f"{file.absolute()} {content}" for file, content in zip(before, contents, strict=True)]
    key = key_of(with_absolute_paths(plain(config)), named, code_sha256(CODE))
    return _mapped(prepared_set(key, functools.partial(_prepare, config, before)))


def recordings_sha256(config: DataConfig) -> str:
    """Return the hash of the recordings themselves: the readers and the contents of the files, in no order.

    The canonical form, the cap on a user's rows and whatever else is done with the recordings is not in it.

    Raises:
        RecordingError: the files cannot be read.
    """
    readers = [source.reader for source in config.sources] or [config.source]
    try:
        contents = content_hashes(_states(config))
    except OSError as error:
        law = f"{error.filename}: cannot be read: {error.strerror}"
        raise RecordingError(f"{law}; check that it is there and that you may read it") from error
    return digest({"readers": sorted(set(readers)), "contents": sorted(set(contents))})


def _prepare(config: DataConfig, before: States, writer: Writer) -> Mapping[str, Any]:
    """Write the splits of a configuration, whose files are as they were before, and return their account."""
    left_out = LeftOut.of(config)
    written = written_groups(data_pieces(config), left_out, config.canonical, writer.folder / PARTS)
    groups = list(shown(written, config, "preparing"))
    left_out.require_known(
        *(frozenset().union(*(getattr(group, names) for group in groups)) for names in ("sources", "users"))
    )
    _require_same(before, _states(config))
    parts = [part for group in groups for part in group.parts]
    kept = _added(part.kept for part in parts)
    usable = _usable(parts)
    assigned = assign(usable, config, kept)
    names = {"group": sorted(set(usable.group)), "source": sorted(set(usable.source))}
    splits = {name: _write_split(writer, name, rows, parts, usable, names) for name, rows in assigned.rows.items()}
    statistics = fit_statistics(splits[TRAINED], config.companding_px, config.frame)
    for name, tensor in statistics.tensors().items():
        writer.save(f"{STATISTICS}.{name}", tensor.numpy())
    reserved = len(usable.key) - sum(map(len, assigned.rows.values())) - sum(assigned.capped.values())
    shutil.rmtree(writer.folder / PARTS)
    return {
        "read": sum(group.read for group in groups),
        "dropped": _summed([*(g.dropped for g in groups), *(p.dropped for p in parts), {NOT_IN_FOLDS: reserved}]),
        "repaired": _summed(group.repaired for group in groups),
        "capped": dict(assigned.capped),
        "kept": {source: list(kept[source]) for source in sorted(kept)},
        "splits": list(splits),
        "names": names,
        "sources": statistics.sources,
        "frame": statistics.frame,
        "statistics": list(statistics.tensors()),
        "sha256": _hash(config, splits),
        "label": config.label,
        "paths": [str(path.absolute()) for path in config.paths],
        "movements": {name: len(split) for name, split in splits.items()},
        "code": code_sha256(CODE),
    }


def _states(config: DataConfig) -> States:
    states = {file: state_of(file) for file in data_files(config)}
    return {file: (state.st_size, state.st_mtime_ns, state.st_ino) for file, state in states.items()}


def _require_same(before: States, after: States) -> None:
    """Raise ConfigError for a file that changed while it was read: the key of the set is of what it was before."""
    changed = sorted(str(file) for file, _ in before.items() ^ after.items())
    law = "recordings that stay as they are while they are read"
    require(not changed, law, f"{', '.join(changed[:1])}, which changed", "start again when it is written")


def _summed(counts: Iterable[Mapping[str, int]]) -> Counter[str]:
    """Return the counts added up, without those of none."""
    return sum((Counter(one) for one in counts), Counter[str]())


def _added(accounts: Iterable[Mapping[str, Kept]]) -> dict[str, Kept]:
    total: dict[str, Kept] = {}
    for account in accounts:
        for source, kept in account.items():
            before = total.get(source, Kept(0, 0, 0))
            total[source] = Kept(*(a + b for a, b in zip(before, kept, strict=True)))
    return total


def _usable(parts: Sequence[Part]) -> Usable:
    """Return what decides the splits, of the usable movements of all parts."""
    has_width = [~part.tensor("target_width_px").isnan() for part in parts]
    return Usable(
        group=tuple(chain.from_iterable(part.group for part in parts)),
        source=tuple(chain.from_iterable(part.source for part in parts)),
        key=tuple(chain.from_iterable(part.key for part in parts)),
        has_width=torch.cat(has_width) if has_width else torch.zeros(0, dtype=torch.bool),
    )


def _write_split(
    writer: Writer,
    name: str,
    rows: Int[Tensor, "N"],
    parts: Sequence[Part],
    usable: Usable,
    names: Mapping[str, Sequence[str]],
) -> Canonical:
    """Write the movements at ascending rows of all parts, and return them as they were written."""
    first = np.cumsum([0, *map(len, parts)])
    bounds = np.searchsorted(rows.numpy(), first)
    own = {tensor: parts[0].tensor(tensor) for tensor in (*TENSORS, PLACES)}
    written = {
        tensor: writer.array(f"{name}.{tensor}", (len(rows), *like.shape[1:]), like.numpy().dtype)
        for tensor, like in own.items()
    }
    for number, part in enumerate(parts):
        place, here = slice(*bounds[number : number + 2]), rows[bounds[number] : bounds[number + 1]] - first[number]
        for tensor, array in written.items():
            array[place] = part.tensor(tensor)[here].numpy()
    columns = {}
    for column, known in names.items():
        its = getattr(usable, column)
        columns[column] = tuple(its[row] for row in rows.tolist())
        code = {one: number for number, one in enumerate(known)}
        writer.save(f"{name}.{column}", np.array([code[one] for one in columns[column]], dtype=np.int32))
    tensors = {tensor: torch.from_numpy(written[tensor]) for tensor in TENSORS}
    return Canonical(**tensors, group=columns["group"], source=columns["source"])


def _mapped(found: PreparedSet) -> DataSplits:
    """Return the splits of a prepared set, whose tensors are mapped."""
    account = found.manifest
    known = {column: np.array(names, dtype=object) for column, names in account["names"].items()}

    def split(name: str) -> Canonical:
        tensors = {tensor: found.tensor(f"{name}.{tensor}") for tensor in TENSORS}
        group, source = (
            tuple(known[column][found.tensor(f"{name}.{column}").numpy()]) for column in ("group", "source")
        )
        movements = Canonical(**tensors, group=group, source=source)
        STORED[movements] = f"{found.path.name}/{name}"
        return movements

    statistics = {field: found.tensor(f"{STATISTICS}.{field}").clone() for field in account["statistics"]}
    return DataSplits(
        {name: split(name) for name in account["splits"]},
        Statistics.of_tensors(statistics, account["sources"], account["frame"]),
        account["read"],
        account["dropped"],
        account["repaired"],
        account["capped"],
        {source: Kept(*counts) for source, counts in account["kept"].items()},
        {name: found.tensor(f"{name}.{PLACES}") for name in account["splits"]},
        account["sha256"],
    )


def _hash(config: DataConfig, splits: Mapping[str, Canonical]) -> str:
    head = hashlib.sha256(repr((config.canonical, config.rows_per_user)).encode())
    several = len({source for split in splits.values() for source in split.source}) > 1
    for name, split in splits.items():
        head.update("\n".join([name, *split.group, *(split.source if several else ())]).encode())
        for tensor in TENSORS:
            head.update(getattr(split, tensor).contiguous().numpy().data)
    return head.hexdigest()
