"""Labels: one number per name in every order, batch and process, and none for an unknown name."""

import hashlib
import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, Movements, encode
from trainables.data.config import SPLITS, CanonicalConfig, DataConfig
from trainables.data.labels import (
    DIRECTIONS,
    EDGES_PX,
    HUMAN,
    KINDS,
    DatasetLabels,
    LabelMap,
    LabelMaps,
    embodiment_names,
    task_names,
)
from trainables.data.splits.loading import load_splits

ROOT = Path(__file__).resolve().parents[3]
TASKS = ["near E", "far W", "near E", "far N", "near E"]
STYLES = ["windmouse", "human", "human", "pid", "straight"]


def straight_to(*ends: tuple[float, float]) -> Canonical:
    """Movements of 10 equal steps to `ends`, px."""
    steps = torch.tensor(ends, dtype=torch.float64)[:, None].expand(-1, 10, 2) / 10
    length = torch.full((len(ends),), 10)
    return encode(Movements(steps.contiguous(), length, ("someone",) * len(ends)), CanonicalConfig())


def labelled() -> DatasetLabels:
    return LabelMaps.of(TASKS, STYLES).label(TASKS, STYLES)


# the map


def test_a_number_is_the_place_among_all_names_in_sorted_order() -> None:
    names = ["b", "Z", "a", "ä", "a", "B", "10", "9"]
    found = LabelMap.of("x", names)
    for name in names:
        smaller = {other for other in names if other < name}
        assert found.encode([name]).tolist() == [len(smaller)]
    assert len(found) == len(set(names))


def test_order_and_repetition_of_names_change_nothing() -> None:
    names = [f"name {k}" for k in range(20)]
    whole = LabelMap.of("x", names)
    for seed in range(5):
        order = torch.randperm(20, generator=torch.Generator().manual_seed(seed)).tolist()
        assert LabelMap.of("x", [names[i] for i in order] * 2) == whole
    assert LabelMap.of("x", set(names)).sha256 == whole.sha256


def test_encoding_and_decoding_are_inverses() -> None:
    found = LabelMap.of("x", TASKS)
    assert found.decode(found.encode(TASKS)) == tuple(TASKS)
    assert found.encode(found.decode(torch.arange(len(found)))).tolist() == [0, 1, 2]
    assert found.encode([]).tolist() == []
    assert found.encode([]).dtype == torch.int64


def test_an_unknown_name_is_an_error_that_names_the_nearest_and_never_class_0() -> None:
    with pytest.raises(ConfigError) as exc_info:
        LabelMap.of("style", STYLES).encode(["pid", "windmuose"])
    assert str(exc_info.value) == (
        "`style` of row 1 is not among the 4 known ones: got 'windmuose'; did you mean 'windmouse'?"
    )
    for name in ("", "HUMAN", "human ", "\N{SNOWMAN}"):
        with pytest.raises(ConfigError, match="did you mean"):
            LabelMap.of("style", STYLES).encode([name])


@pytest.mark.parametrize("label", [-1, 3])
def test_a_number_without_a_name_is_an_error(label: int) -> None:
    with pytest.raises(ConfigError, match=rf"expected `0 <= task label < 3`, but got {label}"):
        LabelMap.of("task", TASKS).decode(torch.tensor([0, label]))


@pytest.mark.parametrize("names", [(), ("b", "a"), ("a", "a"), ("", "a")])
def test_a_map_that_is_not_sorted_or_has_no_names_is_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError, match="`names of x`"):
        LabelMap("x", names)


# hashes and records


def test_the_hash_is_of_the_names_and_the_kind() -> None:
    """The text is pinned: a checkpoint of today must be readable tomorrow."""
    found = LabelMap.of("embodiment", ["human", "bot"])
    assert found.sha256 == hashlib.sha256(b'{"kind":"embodiment","names":["bot","human"]}').hexdigest()
    others = [LabelMap.of("style", ["human", "bot"]), LabelMap.of("embodiment", ["human", "bots"])]
    assert len({found.sha256, *(other.sha256 for other in others)}) == 3


def test_maps_are_restored_from_json() -> None:
    maps = labelled().maps
    assert LabelMaps.from_json(json.loads(json.dumps(maps.to_json()))) == maps


def swapped(content: dict[str, Any]) -> None:
    content["task"], content["style"] = content["style"], content["task"]


ALTERED = {
    "another name": lambda content: content["task"].update(names=["far N", "far W", "near"]),
    "another order": lambda content: content["task"].update(names=["near E", "far W", "far N"]),
    "another hash": lambda content: content["task"].update(sha256="0" * 64),
    "one map less": lambda content: content.pop("style"),
    "no hash": lambda content: content["style"].pop("sha256"),
    "names that are no list": lambda content: content["style"].update(names="abc"),
    "swapped maps": swapped,
}


@pytest.mark.parametrize("how", ALTERED)
def test_an_altered_record_is_refused(how: str) -> None:
    content = labelled().maps.to_json()
    ALTERED[how](content)
    with pytest.raises(ConfigError):
        LabelMaps.from_json(content)


def test_the_hash_of_a_data_set_is_that_of_its_maps_and_of_every_row() -> None:
    labels = labelled()
    hashes = {labels.sha256}
    for kind in KINDS:
        changed = {name: getattr(labels, name).clone() for name in KINDS}
        changed[kind][2] = (changed[kind][2] + 1) % len(getattr(labels.maps, kind))
        hashes.add(DatasetLabels(labels.maps, **changed).sha256)
    hashes.add(LabelMaps.of([*TASKS, "sorts last"], STYLES).label(TASKS, STYLES).sha256)
    hashes.add(labels.take(torch.tensor([4, 3, 2, 1, 0])).sha256)
    assert len(hashes) == 6
    assert labelled().sha256 == labels.sha256


@pytest.mark.heavy
def test_another_process_with_another_hash_seed_gives_the_same_labels() -> None:
    code = (
        "from tests.trainables.data.test_labels import labelled; from trainables.data.labels import LabelMap; "
        "print(labelled().sha256, LabelMap.of('x', {f'name {k}' for k in range(50)}).sha256)"
    )
    environment = {"PYTHONHASHSEED": "2" if os.environ.get("PYTHONHASHSEED") == "1" else "1"}
    run = [sys.executable, "-c", code]
    there = subprocess.run(run, cwd=ROOT, env=environment, capture_output=True, text=True, check=True).stdout
    assert there.split() == [labelled().sha256, LabelMap.of("x", [f"name {k}" for k in range(50)]).sha256]


# the three labels of a row


def test_each_row_has_the_numbers_of_its_names() -> None:
    labels = labelled()
    assert labels.task.tolist() == [2, 1, 2, 0, 2]
    assert labels.embodiment.tolist() == [0, 1, 1, 0, 0]
    assert labels.style.tolist() == [3, 0, 0, 1, 2]
    assert labels.is_bot.tolist() == [True, False, False, True, True]
    assert labels.to_json() == {"maps": labels.maps.to_json(), "rows": 5, "sha256": labels.sha256}
    assert len(labels) == 5


def test_a_row_has_the_same_labels_in_every_batch() -> None:
    labels = labelled()
    for rows in ([4], [3, 1], [0, 1, 2, 3, 4], [2, 2, 0]):
        taken = labels.take(torch.tensor(rows))
        again = labels.maps.label([TASKS[i] for i in rows], [STYLES[i] for i in rows])
        for kind in KINDS:
            assert getattr(taken, kind).tolist() == [int(getattr(labels, kind)[i]) for i in rows]
            assert torch.equal(getattr(again, kind), getattr(taken, kind))


def test_a_style_that_the_data_set_did_not_have_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"`style` of row 1 .* got 'gan'"):
        labelled().maps.label(["near E", "near E"], ["pid", "gan"])
    with pytest.raises(ConfigError, match=r"`embodiment` of row 0 .* got 'bot'"):
        LabelMaps.of(["near E"], [HUMAN]).label(["near E"], ["pid"])


def test_a_task_for_each_style() -> None:
    with pytest.raises(ConfigError, match="5 and 4"):
        labelled().maps.label(TASKS, STYLES[:4])


def test_human_movements_are_not_labelled_as_bots() -> None:
    assert LabelMaps.of(["a"], [HUMAN]).label(["a"], [HUMAN]).is_bot.tolist() == [False]


def test_all_styles_but_human_are_bots() -> None:
    assert embodiment_names(STYLES) == ("bot", "human", "human", "bot", "bot")


# tasks


def octave_of(distance_px: float) -> str:
    """The definition in plain steps: the last edge that is not above the distance, and twice it."""
    low = EDGES_PX[0]
    for edge in EDGES_PX:
        if edge <= distance_px:
            low = edge
    return f"{low:04d}+" if low == 2048 else f"{low:04d}-{2 * low:04d}"


def direction_of(x: float, y: float) -> str:
    """The nearest of the eight directions by the angle between them; y points down."""
    seen = {"E": (1, 0), "SE": (1, 1), "S": (0, 1), "SW": (-1, 1), "W": (-1, 0), "NW": (-1, -1), "N": (0, -1)}
    seen["NE"] = (1, -1)
    cosine = {name: (x * a + y * b) / math.hypot(a, b) for name, (a, b) in seen.items()}
    return max(cosine, key=lambda name: cosine[name])


def test_a_task_is_an_octave_of_distance_and_an_eighth_of_the_circle() -> None:
    random = torch.Generator().manual_seed(0)
    scale = torch.exp(torch.rand(500, 1, generator=random) * math.log(400)) * 8
    whole: Tensor = (torch.randn(500, 2, generator=random) * scale).round().double()
    ends = [(x, y) for x, y in whole.tolist() if math.hypot(x, y) >= 8]
    expected = [f"{octave_of(math.hypot(x, y))} px {direction_of(x, y)}" for x, y in ends]
    assert list(task_names(straight_to(*ends))) == expected
    assert len(set(expected)) > 50


@pytest.mark.parametrize(
    ("end", "task"),
    [
        ((64.0, 0.0), "0064-0128 px E"),
        ((63.0, 0.0), "0032-0064 px E"),
        ((0.0, 8.0), "0008-0016 px S"),
        ((0.0, -2048.0), "2048+ px N"),
        ((-2047.0, 0.0), "1024-2048 px W"),
        ((-300.0, -1.0), "0256-0512 px W"),
        ((-300.0, 1.0), "0256-0512 px W"),
        ((100.0, 41.0), "0064-0128 px E"),
        ((100.0, 42.0), "0064-0128 px SE"),
        ((-100.0, -100.0), "0128-0256 px NW"),
    ],
)
def test_a_bin_holds_its_lower_edge_and_a_sector_is_centred(end: tuple[float, float], task: str) -> None:
    assert task_names(straight_to(end)) == (task,)


def test_the_name_of_a_task_is_its_own_and_sorts_by_distance() -> None:
    ends = [(edge * math.cos(k * math.pi / 4), edge * math.sin(k * math.pi / 4)) for edge in EDGES_PX for k in range(8)]
    names = task_names(straight_to(*((x * 1.01, y * 1.01) for x, y in ends)))
    assert len(set(names)) == len(EDGES_PX) * len(DIRECTIONS)
    octaves = [name.split(" px")[0] for name in sorted(names)]
    assert octaves == [octave for octave in dict.fromkeys(name.split(" px")[0] for name in names) for _ in range(8)]


def test_a_task_is_the_rows_own() -> None:
    human = load_splits(DataConfig())["validation"]
    whole = task_names(human)
    rows = torch.randperm(len(human), generator=torch.Generator().manual_seed(0))[:50]
    assert task_names(human.take(rows)) == tuple(whole[i] for i in rows.tolist())


def test_movements_that_no_bin_holds_are_refused() -> None:
    canonical = straight_to((100.0, 0.0))
    with pytest.raises(ConfigError, match=r"expected `distance_px >= 8`, but got 7\.0"):
        task_names(replace(canonical, distance_px=canonical.distance_px * 0.07))
    with pytest.raises(ConfigError, match="finite `angle`"):
        task_names(replace(canonical, angle=canonical.angle * math.nan))


def test_every_recording_has_a_task() -> None:
    splits = load_splits(DataConfig())
    names = [name for split in SPLITS for name in task_names(splits[split])]
    assert 30 <= len(set(names)) <= 72
