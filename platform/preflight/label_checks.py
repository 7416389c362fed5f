"""Checks of labels: each computes those of all rows again in another way and compares them.

`CHECKS` holds them by name, in the order in which they are printed. A label that is made where the batch is, from the
names in it, or in an order that a process chooses, does not survive them.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import BatchSampler, DataLoader, Dataset

from platform.preflight.config import LabelsConfig
from platform.preflight.context import FAIL, OK, Finding
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.labels import KINDS, DatasetLabels, LabelMap, LabelMaps, task_names

UNKNOWN = "a name that no data set has"


class Rows(Dataset[Tensor]):
    """Movements and their styles; rows are labelled when they are read, as those of a training batch are."""

    def __init__(self, maps: LabelMaps, movements: Canonical, styles: Sequence[str]) -> None:
        self.maps, self.movements, self.styles = maps, movements, tuple(styles)

    def __len__(self) -> int:
        return len(self.styles)

    def __getitem__(self, rows: Sequence[int]) -> Tensor:
        """[B, 4]: the number of each row, then its labels as in `KINDS`."""
        taken = torch.tensor(rows)
        return numbered(taken, self.maps.label(task_names(self.movements.take(taken)), [self.styles[i] for i in rows]))

    def labels(self) -> DatasetLabels:
        """Return the labels of all rows at once."""
        return self.maps.label(task_names(self.movements), self.styles)


@dataclass(frozen=True, eq=False)
class Subject:
    """Labels to check, and what they are compared with.

    Attributes:
        labels: Of all rows, as this process computed them.
        elsewhere: Returns the labels [N, 4] that a new process computes from the same configuration, and their hash.
    """

    labels: DatasetLabels
    rows: Rows
    config: LabelsConfig
    elsewhere: Callable[[], tuple[Tensor, str]]


Check = Callable[[Subject], Finding]


def check_maps(subject: Subject) -> Finding:
    """Check that names and numbers are each other's inverse, in sorted order, and survive a record."""
    maps = subject.labels.maps
    again = LabelMaps.from_json(json.loads(json.dumps(maps.to_json())))
    wrong = [kind for kind in KINDS if not _inverse(getattr(again, kind))]
    if wrong or again.sha256 != maps.sha256:
        return Finding(FAIL, f"names and numbers of {', '.join(wrong) or 'a record'} are not each other's inverse")
    return Finding(OK, "each name has one number, in sorted order, and both survive JSON")


def check_unknown(subject: Subject) -> Finding:
    """Check that every map refuses an unknown name."""
    taken = [kind for kind in KINDS if not _refuses(getattr(subject.labels.maps, kind))]
    return Finding(FAIL if taken else OK, f"accepted by {', '.join(taken)}" if taken else "refused by all maps")


def check_batch_sizes(subject: Subject) -> Finding:
    """Check the labels in order, in batches of each size."""
    sizes = subject.config.batch_sizes
    return _compared(subject, f"batches of {_listed(sizes)}", {f"batches of {n}": read(subject.rows, n) for n in sizes})


def check_shuffles(subject: Subject) -> Finding:
    """Check the labels in random orders, in batches of each size."""
    sizes, orders = subject.config.batch_sizes, range(subject.config.shuffles)
    found = {f"batches of {n}, order {k}": read(subject.rows, n, k) for n in sizes for k in orders}
    return _compared(subject, f"{len(orders)} random orders in batches of {_listed(sizes)}", found)


def check_workers(subject: Subject) -> Finding:
    """Check the labels with each number of DataLoader workers, in a random order."""
    size, numbers = sorted(subject.config.batch_sizes)[len(subject.config.batch_sizes) // 2], subject.config.num_workers
    found = {f"num_workers={k}": read(subject.rows, size, 0, k) for k in numbers}
    return _compared(subject, f"num_workers={_listed(numbers)} in batches of {size}", found)


def check_process(subject: Subject) -> Finding:
    """Check the labels in a new interpreter with another hash seed."""
    found, sha256 = subject.elsewhere()
    finding = _compared(subject, "a new process with another PYTHONHASHSEED", {"a new process": found})
    if finding.state == OK and sha256 != subject.labels.sha256:
        return Finding(FAIL, f"a new process: the same numbers for other names, sha256 {sha256[:16]}")
    return finding


CHECKS: dict[str, Check] = {
    "maps": check_maps,
    "unknown names": check_unknown,
    "batch sizes": check_batch_sizes,
    "shuffles": check_shuffles,
    "workers": check_workers,
    "another process": check_process,
}


def run_check(check: Check, subject: Subject) -> Finding:
    """Return the finding of a check; one that raises has failed, and stops no other."""
    try:
        return check(subject)
    except Exception as error:  # noqa: BLE001  # of any kind: the other checks run all the same
        return Finding(FAIL, f"{type(error).__name__}: {str(error).strip().splitlines()[-1]}")


def numbered(rows: Tensor, labels: DatasetLabels) -> Tensor:
    """[N, 4]: the number of each row, then its labels as in `KINDS`."""
    return torch.stack([rows, *(getattr(labels, kind) for kind in KINDS)], dim=1)


def read(rows: Rows, batch_size: int, shuffle: int | None = None, workers: int = 0) -> Tensor:
    """Return the labels [N, 4] of one pass of a DataLoader, sorted by row number."""
    count = len(rows)
    order = range(count) if shuffle is None else torch.randperm(count, generator=generator(shuffle, "labels")).tolist()
    batches = BatchSampler(order, batch_size, drop_last=False)
    found = torch.cat(list(DataLoader(rows, batch_size=None, sampler=batches, num_workers=workers)))
    return found[found[:, 0].argsort()]


def difference(found: Tensor, expected: DatasetLabels) -> str:
    """Return how labels [N, 4] differ from the expected ones, in words; empty where they agree."""
    whole = numbered(torch.arange(len(expected)), expected)
    if not torch.equal(found[:, 0], whole[:, 0]):
        return f"got {len(found):,} rows, expected each of {len(whole):,} once"
    wrong = (found != whole).any(dim=1).nonzero().squeeze(1)
    if not len(wrong):
        return ""
    row = int(wrong[0])
    pairs = zip(KINDS, found[row, 1:].tolist(), whole[row, 1:].tolist(), strict=True)
    labels = ", ".join(f"{kind} {again} instead of {once}" for kind, again, once in pairs if again != once)
    return f"{len(wrong):,} of {len(whole):,} rows differ, the first is row {row}: {labels}"


def _compared(subject: Subject, ways: str, found: Mapping[str, Tensor]) -> Finding:
    differences = {way: difference(labels, subject.labels) for way, labels in found.items()}
    wrong = [f"{way}: {text}" for way, text in differences.items() if text]
    if wrong:
        return Finding(FAIL, f"{len(wrong)} of {len(found)} passes differ; {wrong[0]}")
    return Finding(OK, f"{len(subject.rows):,} rows agree over {ways}")


def _inverse(found: LabelMap) -> bool:
    numbers = torch.arange(len(found))
    return torch.equal(found.encode(found.decode(numbers)), numbers) and list(found.names) == sorted(found.names)


def _refuses(found: LabelMap) -> bool:
    try:
        found.encode([UNKNOWN])
    except ConfigError:
        return True
    return False


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
