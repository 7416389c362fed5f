"""Properties of the split, the standardisation and the batches."""

import itertools
import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from trainables.core.config import ConfigError, build, plain
from trainables.data.canonical import encode
from trainables.data.config import (
    CONDITION_WIDTH,
    EVALUATION_SPLITS,
    MEASURED_CONDITIONS,
    SPLITS,
    CanonicalConfig,
    DataConfig,
    SourceConfig,
)
from trainables.data.dataset import BUCKET, Batch, SequenceDataset, batches, like_lengths, one_pass, weighted_batches
from trainables.data.readers.recordings import read_data, read_recordings
from trainables.data.splits.assignment import SHARES, Usable, assign, split_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.splits.parts import Kept, observe_recordings
from trainables.data.splits.statistics import fit_statistics
from trainables.data.splits.store import ENVIRONMENT
from trainables.data.users import effective_users
from trainables.generation.conditions import NO_SOURCE

ROOT = Path(__file__).resolve().parents[3]
SIZES = {"train": 1513, "validation": 159, "test": 68, "holdout": 89}
USERS = {"train": 25, "validation": 20, "test": 11, "holdout": 9}
EFFECTIVE = {"validation": 15.7, "test": 7.5, "holdout": 8.2}
CAPPED = {"validation": 108, "test": 89, "holdout": 72}
DROPPED = {"longer than T=64 steps at 60 Hz": 258}
BLOCKS = 1087  # usable movements of unnamed users


def users(split: str, count: int) -> list[str]:
    names = (f"user{i}" for i in itertools.count())
    return list(itertools.islice((name for name in names if split_of(name) == split), count))


def table(splits: tuple[str, ...] = SPLITS, seed: int = 0) -> pd.DataFrame:
    """Return two users per split with four movements each, one row per movement."""
    rng, rows = np.random.default_rng(seed), []
    owners = [(split, user_name) for split in splits for user_name in users(split, 2)]
    for split, user_name in owners:
        for movement in range(4):
            points = int(rng.integers(12, 40))
            walk = np.rint(rng.normal((6.0, 2.0), 3.0, size=(points, 2))).cumsum(axis=0)
            t_ms = np.linspace(0.0, points * 16.0, points)
            rows.append({"user": user_name, "session": f"{movement}", "t_ms": t_ms, "x": walk[:, 0], "y": walk[:, 1]})
            rows[-1]["split"] = split
    return pd.DataFrame(rows)


def load(frame: pd.DataFrame, path: Path, sequence_length: int = 64, rows_per_user: int = 12) -> DataSplits:
    frame.drop(columns="split").to_parquet(path, index=False)
    canonical = CanonicalConfig(sequence_length=sequence_length)
    return load_splits(DataConfig("table", str(path), canonical, rows_per_user=rows_per_user))


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


# the split


def test_the_default_recordings_have_the_published_sizes(splits: DataSplits) -> None:
    assert {name: len(splits[name]) for name in SPLITS} == SIZES
    assert {reason: count for reason, count in splits.dropped.items() if count} == DROPPED
    assert splits.capped == CAPPED
    assert splits.read == sum(SIZES.values()) + sum(CAPPED.values()) + sum(DROPPED.values()) == 2356
    assert splits.kept == {"cursory": Kept(BLOCKS, 1287, 200), "sapimouse": Kept(1011, 1069, 58)}


def test_the_default_splits_have_as_many_users_as_published(splits: DataSplits) -> None:
    assert {name: len(set(splits[name].group)) for name in SPLITS} == USERS
    for name, users_of_equal_size in EFFECTIVE.items():
        assert effective_users(splits[name].group) == pytest.approx(users_of_equal_size, abs=0.05)
    named = {user for user in splits["train"].group if user.startswith("sapimouse/")}
    assert (len(named), EFFECTIVE["validation"] >= 15) == (20, True)


def test_unnamed_users_are_trained_on_only(splits: DataSplits) -> None:
    assert Counter(splits["train"].source) == {"cursory": BLOCKS, "sapimouse": SIZES["train"] - BLOCKS}
    assert {source for name in EVALUATION_SPLITS for source in splits[name].source} == {"sapimouse"}


def test_the_account_shows_every_number(splits: DataSplits) -> None:
    account = splits.table()
    for count in (2356, *SIZES.values(), *DROPPED.values(), *CAPPED.values(), BLOCKS, SIZES["train"] - BLOCKS):
        assert f"{count:,}" in account
    for name in EVALUATION_SPLITS:
        assert f"{name} ({USERS[name]} users, {EFFECTIVE[name]} effective)" in account
    assert "usable of the 1,287 of cursory (84%)" in account
    assert "usable of the 1,069 of sapimouse (95%)" in account


def test_the_account_of_one_source_lists_no_sources(tmp_path: Path) -> None:
    lines = load(table(), tmp_path / "recordings.parquet").table().splitlines()
    assert [line.split("  ")[1] for line in lines if "recordings" in line] == ["usable of the 32 of recordings (100%)"]


def test_no_user_is_in_two_splits(splits: DataSplits) -> None:
    for one, other in itertools.combinations(SPLITS, 2):
        assert not set(splits[one].group) & set(splits[other].group)


def test_a_split_is_decided_by_the_name_alone(splits: DataSplits) -> None:
    for name in SPLITS:
        assert {split_of(*names) for names in zip(splits[name].group, splits[name].source, strict=True)} == {name}


def test_the_split_holds_for_every_movement_that_was_read(splits: DataSplits) -> None:
    """Counted from the recordings themselves, one by one; 12 of a user at most where it is evaluated."""
    expected: Counter[tuple[str, str]] = Counter()
    for recording in read_recordings("cursory").recordings:
        movement = observe_recordings([recording])
        if int(movement.length[0]) <= 64:
            expected[split_of(recording.user, recording.source), recording.user] += 1
    for name in SPLITS:
        most = 10**6 if name == "train" else 12
        assert sum(min(count, most) for (split, _), count in expected.items() if split == name) == SIZES[name]


def test_order_and_number_of_recordings_do_not_change_the_split_of_a_user(tmp_path: Path) -> None:
    frame = table()
    shuffled = frame.sample(frac=1.0, random_state=1)
    fewer = frame.iloc[::2]
    for number, rows_of in enumerate((frame, shuffled, fewer)):
        splits = load(rows_of, tmp_path / f"{number}.parquet")
        assert {name: set(splits[name].group) for name in SPLITS} == {name: set(users(name, 2)) for name in SPLITS}


@pytest.mark.heavy
def test_names_and_hash_are_the_same_in_another_process(splits: DataSplits, tmp_path: Path) -> None:
    names = sorted({group for name in SPLITS for group in splits[name].group})
    expected = [split_of(name) for name in names]
    code = (
        "from trainables.data.config import DataConfig; "
        "from trainables.data.splits.assignment import split_of; "
        "from trainables.data.splits.loading import load_splits; "
        f"print([split_of(name) for name in {names!r}]); print(load_splits(DataConfig()).sha256)"
    )
    environment = os.environ | {ENVIRONMENT: str(tmp_path), "PYTHONHASHSEED": "7"}  # it prepares the data itself
    command = [sys.executable, "-c", code]
    other = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert other.stdout.splitlines() == [str(expected), splits.sha256]


def test_splits_have_their_shares() -> None:
    """Null: 20,000 names over four splits, chi-squared p > 1e-4 (the false-failure rate); equal shares are refuted."""
    counts = Counter(split_of(f"name {i}") for i in range(20_000))
    found = [counts[name] for name in SPLITS]
    assert sum(SHARES) == pytest.approx(1.0)
    assert chisquare(found, [share * 20_000 for share in SHARES]).pvalue > 1e-4
    assert chisquare(found, [5000.0] * 4).pvalue < 1e-4


@pytest.mark.parametrize("missing", SPLITS)
def test_a_split_without_movements_is_refused_by_name(tmp_path: Path, missing: str) -> None:
    kept = tuple(name for name in SPLITS if name != missing)
    with pytest.raises(ConfigError, match=f"^expected `users of the {missing} split >= 1`, but got 0 of 6 with 24"):
        load(table(kept), tmp_path / "table.parquet")


def test_recordings_without_a_usable_movement_name_the_command_that_says_why() -> None:
    nothing = Usable((), (), (), torch.zeros(0, dtype=torch.bool))
    with pytest.raises(ConfigError, match=r"with 0 usable movements; platform\.data inspect PATH says what became of"):
        assign(nothing, DataConfig(), {"lab"})


# the most of a user


@pytest.mark.parametrize("most", [1, 3, 4])
def test_evaluated_users_have_so_many_movements_at_most_and_training_users_all(tmp_path: Path, most: int) -> None:
    splits = load(table(), tmp_path / "table.parquet", rows_per_user=most)
    for name in SPLITS:
        assert set(Counter(splits[name].group).values()) == {4 if name == "train" else most}
    assert splits.capped == dict.fromkeys(EVALUATION_SPLITS, 2 * (4 - most))


def test_the_movements_that_are_kept_depend_on_nothing_but_themselves(tmp_path: Path) -> None:
    """Whatever their order, and whichever movements of others are read."""
    frame = table()
    one, other = (
        load(rows_of, tmp_path / f"{number}.parquet", rows_per_user=2)
        for number, rows_of in enumerate((frame, frame.sample(frac=1.0, random_state=3)))
    )
    for name in EVALUATION_SPLITS:
        first, second = (sorted(map(str, splits[name].deltas.tolist())) for splits in (one, other))
        assert first == second
    nested = load(frame, tmp_path / "3.parquet", rows_per_user=3)
    for name in EVALUATION_SPLITS:
        fewer, more = (set(map(str, splits[name].deltas.tolist())) for splits in (one, nested))
        assert fewer < more


# sources


def of_sources(frame: pd.DataFrame, *sources: str) -> pd.DataFrame:
    """Return the movements with every user once per source, under a name of its own, in the same split."""
    parts = []
    for source in sources:
        named = {
            user: next(name for name in (f"{source}/{user}/{i}" for i in itertools.count()) if split_of(name) == split)
            for user, split in zip(frame.user, frame.split, strict=True)
        }
        parts.append(frame.assign(source=source, user=frame.user.map(named)))
    return pd.concat(parts)


def test_rows_of_several_sources_are_counted_by_source(tmp_path: Path) -> None:
    splits = load(of_sources(table(), "one", "other"), tmp_path / "table.parquet")
    assert splits.kept == {"one": Kept(32, 32, 0), "other": Kept(32, 32, 0)}
    for name in SPLITS:
        assert Counter(splits[name].source) == {"one": 8, "other": 8}
    assert splits.table().count("    other (2 users, 2.0 effective)") == 4


@pytest.mark.parametrize("missing", EVALUATION_SPLITS)
def test_an_evaluated_source_needs_users_in_each_evaluated_split(tmp_path: Path, missing: str) -> None:
    frame = of_sources(table(), "one", "other")
    fewer = frame[(frame.source == "one") | (frame.split != missing)]
    with pytest.raises(ConfigError, match=f"^expected `users of other in the {missing} split >= 1`, but got 0; read"):
        load(fewer, tmp_path / "table.parquet")
    load(fewer.assign(source=fewer.source.replace("other", "cursory")), tmp_path / "only.parquet")


def test_a_source_that_is_trained_on_only_is_in_the_training_split(tmp_path: Path) -> None:
    frame = pd.concat([of_sources(table(), "one"), of_sources(table(seed=1), "cursory")])
    splits = load(frame, tmp_path / "table.parquet")
    assert Counter(splits["train"].source) == {"one": 8, "cursory": 32}
    assert {source for name in EVALUATION_SPLITS for source in splits[name].source} == {"one"}


def test_a_user_of_a_source_that_is_trained_on_only_is_refused_in_another_split(tmp_path: Path) -> None:
    frame = table()
    both = of_sources(frame, "one")
    again = both[both.split == "test"].assign(source="cursory")
    with pytest.raises(ConfigError, match=r"^expected users of the test split who are not trained on, but got one"):
        load(pd.concat([both, again]), tmp_path / "table.parquet")


def sources_of(frame: pd.DataFrame, folder: Path, *names: str, named: bool = True) -> tuple[SourceConfig, ...]:
    """Write one table per source, without a column that names it."""
    folder.mkdir()
    found = []
    for name in names:
        own = frame[frame.source == name].drop(columns=["split", "source"])
        own.to_parquet(folder / f"{name}.parquet", index=False)
        found.append(SourceConfig("table", str(folder / f"{name}.parquet"), name if named else None))
    return tuple(found)


def test_several_sources_are_those_of_one_table(tmp_path: Path) -> None:
    frame = of_sources(table(), "one", "other")
    together = load(frame, tmp_path / "table.parquet")
    for named in (True, False):
        sources = sources_of(frame, tmp_path / str(named), "one", "other", named=named)
        found = load_splits(DataConfig(sources=sources))
        assert found.sha256 == together.sha256
        assert found.kept == together.kept
        alone = load_splits(DataConfig(sources=sources[1:]))
        assert set(alone["train"].source) == {"other"}
        assert alone.statistics.sources == ()


def test_a_name_is_given_to_users_without_one_of_a_source(tmp_path: Path) -> None:
    table().assign(source="").drop(columns=["split", "source"]).to_parquet(tmp_path / "mine.parquet", index=False)
    found = read_data(DataConfig(sources=(SourceConfig("table", str(tmp_path / "mine.parquet"), "lab"),)))
    assert {recording.source for recording in found.recordings} == {"lab"}
    assert {recording.user.partition("/")[0] for recording in found.recordings} == {"lab"}


def test_a_name_does_not_hide_that_a_source_is_trained_on_only() -> None:
    law = r"^expected no `name` for recordings of cursory, which are trained on only, but got name=mine; leave the name"
    with pytest.raises(ConfigError, match=law):
        read_data(DataConfig(sources=(SourceConfig("cursory", None, "mine"),)))


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        (
            {"source": "table", "path": "a.csv", "sources": [{"reader": "cursory"}]},
            "expected `source` and `path`, or `sources`, but got source=table, path=a.csv and 1 sources; leave",
        ),
        (
            {"sources": [{"reader": "quux"}]},
            "sources[0]: expected `reader` in {balabit, cursory, events, ",
        ),
        (
            {"sources": [{"path": "a.csv", "name": "a"}, {"path": "b.csv", "name": "a"}]},
            "expected each `name` of `sources` once, but got a twice; give each another name",
        ),
        ({"sources": [{"path": "a.csv"}, {"path": "a.csv"}]}, "expected `sources` to name each entry once, but got"),
        ({"sources": [{"path": "a.csv", "nmae": "a"}]}, "unknown key sources[0].nmae; did you mean `name`?"),
        (
            {"sources": ["a.csv"]},
            "expected `sources` to be a list of {reader, path, name, time_unit}, but got sources=",
        ),
        (
            {"sources": [{"name": ""}]},
            "sources[0]: expected `name` with at least one letter, but got name=''; leave it",
        ),
    ],
)
def test_wrong_sources_are_one_line(mapping: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(DataConfig, mapping)
    assert str(exc_info.value).startswith(message)
    assert "\n" not in str(exc_info.value)


def test_a_configuration_of_several_sources_survives_its_plain_form() -> None:
    config = DataConfig(sources=(SourceConfig("table", "a.csv", "a"), SourceConfig("cursory")))
    assert build(DataConfig, plain(config)) == config
    assert config.label == "a, cursory"
    assert DataConfig().label == "cursory"


# the length


def test_a_source_of_which_little_is_kept_is_named_with_the_remedy(tmp_path: Path) -> None:
    frame = of_sources(table(), "one", "other")
    slow = frame.assign(t_ms=[3 * t if s == "other" else t for t, s in zip(frame.t_ms, frame.source, strict=True)])
    splits = load(slow, tmp_path / "table.parquet")
    kept = splits.kept["other"]
    assert kept.share < 0.7 < splits.kept["one"].share
    assert kept.too_long == kept.read - kept.usable > 0
    line = f"T=64 steps keep {kept.share:.0%} of other; set data.canonical.sequence_length=128"
    assert splits.table().splitlines()[-1] == line
    longer = load(slow, tmp_path / "table.parquet", sequence_length=128)
    assert (longer.too_short, longer.kept["other"].share) == ("", 1.0)
    assert load(frame, tmp_path / "short.parquet").too_short == ""


# the hash


def test_the_hash_is_equal_if_and_only_if_the_data_are(tmp_path: Path) -> None:
    frame = table()
    same = load(frame, tmp_path / "copy.parquet").sha256
    assert load(frame, tmp_path / "table.parquet").sha256 == same
    renamed = frame.assign(user=frame.user.replace(users("test", 2)[0], users("test", 3)[2]))
    others = [load(table(seed=1), tmp_path / "other.parquet"), load(renamed, tmp_path / "renamed.parquet")]
    others.append(load(frame, tmp_path / "longer.parquet", sequence_length=80))
    others.append(load(frame, tmp_path / "fewer.parquet", rows_per_user=3))
    assert len({same, *(other.sha256 for other in others)}) == 5


def test_the_hash_is_over_the_sources_where_there_are_several(tmp_path: Path) -> None:
    frame = of_sources(table(), "one", "other")
    renamed = frame.assign(source=frame.source.replace("other", "another"))
    alone = [frame.assign(source=source) for source in ("one", "other")]
    hashes = [load(rows_of, tmp_path / f"{i}.parquet").sha256 for i, rows_of in enumerate((frame, renamed, *alone))]
    assert hashes[2] == hashes[3]
    assert len(set(hashes)) == 3


# target widths


def width_of(user: str, session: str) -> float:
    """Return the widths of `widened`: unknown for every other movement."""
    return math.nan if int(session) % 2 else 10.0 + int(session) + len(user)


def widened(frame: pd.DataFrame, among: tuple[str, ...] = SPLITS) -> pd.DataFrame:
    widths_px = [
        width_of(user, session) if split in among else math.nan
        for user, session, split in zip(frame.user, frame.session, frame.split, strict=True)
    ]
    return frame.assign(target_x=5.0, target_y=6.0, target_width=widths_px)


def test_widths_reach_the_movements_that_they_were_recorded_with(tmp_path: Path) -> None:
    frame = widened(table())
    splits = load(frame, tmp_path / "wide.parquet")
    for name in SPLITS:
        expected = [width_of(u, s) for u, s, p in zip(frame.user, frame.session, frame.split, strict=True) if p == name]
        assert splits[name].target_width_px.tolist() == pytest.approx(expected, abs=0.0, nan_ok=True)
    assert load(frame.drop(columns="target_width"), tmp_path / "none.parquet").sha256 != splits.sha256


def test_widths_that_nothing_can_be_learnt_from_are_refused(tmp_path: Path) -> None:
    frame = widened(table(), ("test", "holdout"))
    with pytest.raises(ConfigError, match=r"^expected target widths in the training split .* some in test, holdout; "):
        load(frame, tmp_path / "wide.parquet")
    load(widened(table(), ("train",)), tmp_path / "narrow.parquet")


# standardisation


def test_statistics_come_from_the_training_split_alone(tmp_path: Path) -> None:
    frame = table()
    first = load(frame, tmp_path / "first.parquet").statistics.tensors()

    def doubled(of: list[str], file: str) -> dict[str, Tensor]:
        chosen = frame.split.isin(of)
        changed = frame.assign(x=[2 * x if c else x for x, c in zip(frame.x, chosen, strict=True)])
        return load(changed, tmp_path / file).statistics.tensors()

    elsewhere, inside = doubled(list(SPLITS[1:]), "elsewhere.parquet"), doubled(["train"], "inside.parquet")
    for name, value in first.items():
        assert torch.equal(value, elsewhere[name])
    assert not any(torch.equal(first[name], inside[name]) for name in ("mean", "std", "condition_mean"))


@pytest.mark.parametrize(
    "widths", [[], [40.0], [40.0] * 9, [8.0, 16.0, 64.0, 64.0], "all"], ids=["none", "one", "equal", "some", "all"]
)
def test_widths_are_standardised_over_the_rows_with_a_width(splits: DataSplits, widths: list[float] | str) -> None:
    """Column by column in plain loops; where they are not known both columns are zero."""
    real = splits["train"].take(torch.arange(60))
    widths_px = [5.0 + i for i in range(60)] if isinstance(widths, str) else [*widths, *[math.nan] * (60 - len(widths))]
    canonical = replace(real, target_width_px=torch.tensor(widths_px, dtype=torch.float64))
    statistics = fit_statistics(canonical, 0.25)
    found = statistics.normalise_condition(
        canonical.condition(), NO_SOURCE.expand(60), canonical.angle, canonical.ends()
    )
    assert (found.dtype, found.shape) == (torch.float32, (60, CONDITION_WIDTH))
    known = [math.log(width) for width in widths_px if not math.isnan(width)]
    mean = sum(known) / len(known) if known else 0.0
    std = float(np.std(known, ddof=1)) if len(set(known)) > 1 else 1.0
    for row, width in zip(found[:, -2:].tolist(), widths_px, strict=True):
        expected = [0.0, 0.0] if math.isnan(width) else [(math.log(width) - mean) / std, 1.0]
        assert row == pytest.approx(expected, abs=1e-6)
    plain = fit_statistics(real, 0.25).normalise_condition(
        real.condition(), NO_SOURCE.expand(60), real.angle, real.ends()
    )
    assert torch.equal(found[:, :-2], plain[:, :-2])
    assert not bool(plain[:, -2:].any())


def test_a_condition_has_a_column_of_each_source_where_there_are_several(splits: DataSplits) -> None:
    """Row by row from the names; all zeros for a source that was not trained on."""
    real = splits["validation"].take(torch.arange(6))
    mixed = replace(real, source=("sapimouse", "cursory", "another", "sapimouse", "sample", "cursory"))
    condition = SequenceDataset(mixed, splits.statistics).condition
    assert splits.statistics.condition_width == CONDITION_WIDTH + 2
    assert condition[:, CONDITION_WIDTH:].tolist() == [[0, 1], [1, 0], [0, 0], [0, 1], [0, 0], [1, 0]]
    alone = replace(splits["train"], source=("one",) * len(splits["train"]))
    statistics = fit_statistics(alone, 0.25)
    assert (statistics.sources, SequenceDataset(mixed, statistics).condition.shape) == ((), (6, CONDITION_WIDTH))
    assert torch.equal(SequenceDataset(mixed, statistics).condition, condition[:, :CONDITION_WIDTH])


def test_normalising_is_undone_by_denormalising(splits: DataSplits) -> None:
    for name in SPLITS:
        split = splits[name]
        z = splits.statistics.normalise(split)
        assert z.dtype == torch.float32
        back = splits.statistics.denormalise(z, split)
        assert back.dtype == torch.float64
        torch.testing.assert_close(back, split.deltas, rtol=1e-5, atol=1e-6)


def test_denormalising_is_undone_by_normalising(splits: DataSplits) -> None:
    """For any z of the size that a model makes, not for those of recordings alone."""
    split = splits["test"]
    z = torch.randn(split.deltas.shape, generator=torch.Generator().manual_seed(0)) * split.mask[..., None]
    back = splits.statistics.normalise(replace(split, deltas=splits.statistics.denormalise(z, split)))
    torch.testing.assert_close(back, z, rtol=1e-5, atol=1e-5)


def test_values_under_the_mask_are_zero(splits: DataSplits) -> None:
    split = splits["validation"]
    z = splits.statistics.normalise(split)
    assert torch.equal(z[~split.mask], torch.zeros_like(z[~split.mask]))
    deltas = splits.statistics.denormalise(torch.ones_like(z), split)
    assert torch.equal(deltas[~split.mask], torch.zeros_like(deltas[~split.mask]))


def test_the_training_split_is_standardised(splits: DataSplits) -> None:
    dataset = SequenceDataset(splits["train"], splits.statistics)
    measured = dataset.condition[:, : len(MEASURED_CONDITIONS)]
    for values in (dataset.sequences.z[dataset.sequences.mask], measured):
        torch.testing.assert_close(values.mean(dim=0), torch.zeros(values.shape[1]), rtol=0.0, atol=1e-4)
        torch.testing.assert_close(values.std(dim=0), torch.ones(values.shape[1]), rtol=0.0, atol=1e-4)
    assert abs(float(SequenceDataset(splits["holdout"], splits.statistics).condition.mean())) > 1e-3


def test_a_condition_that_does_not_vary_is_refused(splits: DataSplits) -> None:
    train = splits["train"]
    constant = replace(train, duration_s=torch.ones_like(train.duration_s))
    with pytest.raises(ConfigError, match="`standard deviation of log_duration_s > 0`"):
        fit_statistics(constant, 0.25)
    with pytest.raises(ConfigError, match="`movements in the training split >= 2`"):
        fit_statistics(train.take(torch.tensor([0])), 0.25)


def test_an_item_is_a_pair_and_carries_no_weight(splits: DataSplits) -> None:
    dataset = SequenceDataset(splits["test"], splits.statistics)
    sequences, condition = dataset[3]
    assert len(dataset) == SIZES["test"]
    assert torch.equal(sequences.z, dataset.sequences.z[3])
    assert torch.equal(condition, dataset.condition[3])


def test_recordings_are_observed_one_by_one() -> None:
    recordings = read_recordings("cursory").recordings[:20]
    together = observe_recordings(recordings)
    for i, recording in enumerate(recordings):
        alone = observe_recordings([recording])
        length = int(alone.length[0])
        assert (length, alone.group) == (int(together.length[i]), (together.group[i],)) == (length, (recording.user,))
        assert torch.equal(together.steps_px[i, :length], alone.steps_px[0])


# batches


@pytest.fixture(scope="module")
def dataset(splits: DataSplits) -> SequenceDataset:
    """Its first condition is the number of the row."""
    numbered = SequenceDataset(splits["test"].take(torch.arange(50)), splits.statistics)
    numbered.condition[:, 0] = torch.arange(50)
    return numbered


def rows(batch: Batch) -> list[int]:
    return [int(row) for row in batch.condition[:, 0]]


def first_batches(dataset: SequenceDataset, size: int, count: int, seed: int = 0) -> list[Batch]:
    return list(itertools.islice(batches(lambda _: (dataset,), size, torch.Generator().manual_seed(seed)), count))


@pytest.mark.parametrize("size", [1, 7, 16, 25, 50])
def test_each_pass_takes_full_batches_of_different_rows(dataset: SequenceDataset, size: int) -> None:
    per_pass = 50 // size
    taken = [rows(batch) for batch in first_batches(dataset, size, 3 * per_pass)]
    assert [len(batch) for batch in taken] == [size] * (3 * per_pass)
    for first in range(0, 3 * per_pass, per_pass):
        assert len(set(itertools.chain(*taken[first : first + per_pass]))) == size * per_pass


def test_each_pass_has_an_order_of_its_own_and_leaves_other_rows_out(dataset: SequenceDataset) -> None:
    """Some row is left out of none of 400 passes, each without 2 of 50, with probability 50 * 0.96^400 = 4e-6."""
    taken = [rows(batch) for batch in first_batches(dataset, 16, 3 * 400)]
    passes = [list(itertools.chain(*taken[i : i + 3])) for i in range(0, len(taken), 3)]
    assert passes[0] != passes[1]
    left_out = [set(range(50)) - set(one) for one in passes]
    assert set().union(*left_out) == set(range(50))


def test_sequences_masks_and_conditions_stay_together(dataset: SequenceDataset) -> None:
    for batch in first_batches(dataset, 16, 6):
        steps = batch.sequences.z.shape[1]
        for i, row in enumerate(rows(batch)):
            assert torch.equal(batch.sequences.z[i], dataset.sequences.z[row, :steps])
            assert torch.equal(batch.sequences.mask[i], dataset.sequences.mask[row, :steps])
            assert int(dataset.sequences.mask[row].sum()) <= steps
            assert torch.equal(batch.condition[i], dataset.condition[row])


def test_batches_are_of_like_length_and_carry_no_padding_that_all_share(splits: DataSplits) -> None:
    """A batch of 64 random rows of the training split has nearly always one of the longest: about 63 steps."""
    dataset = SequenceDataset(splits["train"], splits.statistics)
    lengths = [batch.sequences.mask.sum(dim=1) for batch in first_batches(dataset, 64, 18)]
    assert all(
        int(length.max()) == batch.sequences.mask.shape[1]
        for length, batch in zip(lengths, first_batches(dataset, 64, 18), strict=True)
    )
    computed, valid = sum(64 * int(length.max()) for length in lengths), sum(int(length.sum()) for length in lengths)
    assert valid / computed > 0.8


def test_the_rows_of_a_batch_are_in_random_order(splits: DataSplits) -> None:
    """Correlation of place and length over 1,152 rows: |r| < 0.12 by chance, 4 s.d.; sorted batches have 0.3."""
    dataset = SequenceDataset(splits["train"], splits.statistics)
    lengths = torch.stack([batch.sequences.mask.sum(dim=1) for batch in first_batches(dataset, 64, 18)]).double()
    place = torch.arange(64).double().expand_as(lengths)
    assert abs(float(torch.corrcoef(torch.stack([place.flatten(), lengths.flatten()]))[0, 1])) < 0.12


def test_each_pass_requests_its_data_set(dataset: SequenceDataset) -> None:
    calls: list[torch.Generator] = []

    def fresh(random: torch.Generator) -> tuple[SequenceDataset]:
        calls.append(random)
        return (dataset,)

    order = torch.Generator().manual_seed(0)
    list(itertools.islice(batches(fresh, 16, order), 7))
    assert calls == [order] * 3


def test_the_order_is_the_generators_alone(dataset: SequenceDataset) -> None:
    torch.manual_seed(1)
    orders = [list(map(rows, first_batches(dataset, 10, 12, seed))) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_a_batch_larger_than_the_data_is_refused(dataset: SequenceDataset) -> None:
    with pytest.raises(ConfigError, match="expected `batch_size <= training movements`, but got 51 > 50"):
        first_batches(dataset, 51, 1)


def test_weights_stay_with_their_rows_and_change_no_batch(dataset: SequenceDataset) -> None:
    weight = torch.arange(50.0)
    known = dict(zip((row.numpy().tobytes() for row in dataset.condition), weight.tolist(), strict=True))
    found = list(
        itertools.islice(
            weighted_batches(lambda _: [dataset.weighted(weight)], 16, torch.Generator().manual_seed(4)), 5
        )
    )
    plain = list(itertools.islice(weighted_batches(lambda _: [dataset], 16, torch.Generator().manual_seed(4)), 5))
    for (batch, own), (other, none) in zip(found, plain, strict=True):
        assert own is not None
        assert own.tolist() == [known[row.numpy().tobytes()] for row in batch.condition]
        assert torch.equal(batch.condition, other.condition)
        assert none is None
    assert len(dataset.weighted(weight)[0]) == 2


@pytest.mark.parametrize("size", [1, 7, 16, 50])
def test_rows_of_like_length_are_those_of_a_pass(dataset: SequenceDataset, size: int) -> None:
    """Each row once at most, in full batches, drawn as `one_pass` draws them."""
    length = dataset.sequences.mask.sum(dim=1)
    chosen = [part.tolist() for part in like_lengths(length, size, torch.Generator().manual_seed(4))]
    assert [len(part) for part in chosen] == [size] * (50 // size)
    assert len(set(itertools.chain(*chosen))) == size * (50 // size)
    assert chosen == [rows(batch) for batch, _ in one_pass(dataset, size, torch.Generator().manual_seed(4))]


def test_lengths_within_a_batch_are_alike() -> None:
    """Sorted by length plus up to `BUCKET` steps: a batch of 10 of 1 to 500 spans 20 steps, not hundreds."""
    length = torch.randperm(500, generator=torch.Generator().manual_seed(0)) + 1
    spans = [int(length[part].max() - length[part].min()) for part in like_lengths(length, 10, torch.Generator())]
    assert max(spans) <= 10 + 2 * BUCKET
    assert min(spans) >= 9


def test_more_rows_to_a_batch_than_there_are_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected `batch_size <= training movements`, but got 4 > 3"):
        next(like_lengths(torch.tensor([9, 8, 9]), 4, torch.Generator()))


def test_encoding_by_split_equals_encoding_at_once(splits: DataSplits) -> None:
    """A movement's canonical form does not depend on its companions."""
    recordings = [r for r in read_recordings("cursory").recordings if r.user == splits["train"].group[0]]
    movements = observe_recordings(recordings)
    movements = movements.take((movements.length <= 64).nonzero().squeeze(1))
    mine = torch.tensor([i for i, group in enumerate(splits["train"].group) if group == recordings[0].user])
    assert torch.equal(encode(movements, CanonicalConfig()).deltas, splits["train"].take(mine).deltas)
