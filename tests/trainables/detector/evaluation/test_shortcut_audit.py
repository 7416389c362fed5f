"""The shortcut audit: traces of a recorder are detected before canonicalisation, remaining ones after it."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.shared_data import SHARED
from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, concatenate, encode, usable
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.observation import PERIOD_MS
from trainables.data.readers.recordings import Recording, read_recordings
from trainables.data.splits.assignment import split_of
from trainables.data.splits.loading import load_splits
from trainables.data.splits.parts import observe_recordings
from trainables.detector.dataset.external_bots import ORIGINS, read_bots
from trainables.detector.evaluation.nuisance_features import RAW, raw_nuisances
from trainables.detector.evaluation.shortcut_audit import Audit, audit, exposure
from trainables.eval.intervals.config import BootstrapConfig

FORM = CanonicalConfig()
CONFIG = BootstrapConfig(replicates=100)


def recorded(seed: int, grid_ms: float, whole: bool, count: int = 240, users: int = 12) -> list[Recording]:
    """The same law of movements, recorded by different clocks: eased curves of 0.2 to 0.9 s and 150 to 700 px."""
    rng, found = np.random.default_rng(seed), []
    for row in range(count):
        duration_ms, distance_px, bow = rng.uniform(200, 900), rng.uniform(150, 700), rng.normal(0, 40)
        angle = rng.uniform(-np.pi, np.pi)
        t_ms = np.append(np.arange(0, duration_ms, grid_ms), duration_ms)
        if whole:
            t_ms = t_ms.round()
        tau = t_ms / t_ms[-1]
        along, across = distance_px * tau**2 * (3 - 2 * tau), bow * np.sin(np.pi * tau)
        x = 800 + along * np.cos(angle) - across * np.sin(angle)
        y = 500 + along * np.sin(angle) + across * np.cos(angle)
        if whole:
            x, y = x.round(), y.round()
        found.append(Recording(t_ms, x, y, "lab", f"p{row % users}", "first"))
    return found


def canonical(recordings: list[Recording]) -> Canonical:
    movements = observe_recordings(recordings)
    rows, _ = usable(movements, FORM)
    return encode(movements.take(rows), FORM)


def audited(human: list[Recording], bots: list[Recording]) -> Audit:
    return audit(canonical(human), canonical(bots), FORM, CONFIG, 0, raw=(human, bots))


@pytest.fixture(scope="module")
def human() -> list[Recording]:
    return recorded(1, 8.0, whole=True)


# Null, over 30 seeds: nothing of the canonical columns varies; the area of the conditions is 0.51 with a s.d. of 0.04,
# and the bound is 4 of these away (3e-5).
def test_a_grid_of_7_ms_and_subpixels_are_detected_before_the_observation_model_only(human: list[Recording]) -> None:
    found = audited(human, recorded(2, 7.0, whole=False))
    assert found.raw is not None
    assert found.raw.auc.low > 0.99
    assert {"whole_px_share", "interval_ms_q50"} <= {name for name, value in found.raw.by_feature.items() if value == 1}
    assert found.canonical.auc.value == 0.5
    assert found.condition.auc.value < 0.67
    assert found.passed
    assert found.finding.splitlines()[0].startswith("passed")


def test_the_same_recorder_is_detected_neither_before_nor_after(human: list[Recording]) -> None:
    """Null: the area of the raw columns is 0.50 with a s.d. of 0.031 over 30 seeds; 4.8 of them (1e-6)."""
    found = audited(human, recorded(3, 8.0, whole=True))
    assert found.raw is not None
    assert found.raw.auc.value < 0.65
    assert found.passed


def test_a_clock_slower_than_the_ticks_is_not_seen(human: list[Recording]) -> None:
    """Events every 21 ms miss one tick in five; the pointer moved on in between."""
    found = audited(human, recorded(4, 21.0, whole=True))
    assert found.canonical.auc.high < 0.65


def polled(recording: Recording) -> Recording:
    """The recording as a page has it that asks for the position 60 times a second."""
    t_ms = np.arange(0.0, recording.t_ms[-1] + PERIOD_MS, PERIOD_MS)
    rows = np.searchsorted(recording.t_ms, t_ms, side="right") - 1
    return replace(recording, t_ms=t_ms, x=recording.x[rows], y=recording.y[rows])


@pytest.mark.heavy
def test_a_script_slower_than_the_page_that_polls_it_fails_the_audit(
    human: list[Recording],
) -> None:
    """Moves every 21 ms miss one poll in five, and a still step between two fast ones is no motion of a hand."""
    found = audited(human, [polled(one) for one in recorded(4, 21.0, whole=True)])
    assert found.canonical.auc.low > 0.9
    assert not found.passed
    assert found.finding.startswith("FAILED: nuisances in the canonical form separate bots from users")
    assert "held_share" in found.finding.splitlines()[0]
    assert next(iter(found.canonical.by_feature)) == "held_share"


def test_bots_without_the_observation_model_fail(human: list[Recording]) -> None:
    bots = canonical(recorded(5, 8.0, whole=True))
    smooth = replace(bots, deltas=bots.deltas + 0.001 * torch.sin(torch.arange(64.0))[:, None] * bots.mask[..., None])
    found = audit(canonical(human), smooth, FORM, CONFIG, 0)
    assert not found.passed
    assert found.canonical.by_feature["off_pixel_share"] == 1.0
    assert found.raw is None


def test_bots_under_other_conditions_are_reported(human: list[Recording]) -> None:
    slow = [replace(r, t_ms=np.minimum(r.t_ms * 1.4, 1050.0)) for r in recorded(6, 8.0, whole=True)]
    found = audited(human, slow)
    assert not found.condition.is_near_half
    assert "conditions alone separate bots from users" in found.finding
    assert found.passed


def test_users_against_users_of_the_same_recorders_pass() -> None:
    """Null: every second movement of each user of the training split against the others."""
    part = load_splits(DataConfig())["train"]
    groups = [[row for row, group in enumerate(part.group) if group == name] for name in sorted(set(part.group))]
    one, other = (part.take(torch.tensor([row for rows in groups for row in rows[k::2]])) for k in (0, 1))
    found = audit(one, other, FORM, CONFIG, 0)
    assert found.passed
    assert found.canonical.auc.value == pytest.approx(0.5, abs=0.08)  # s.d. 0.016 over 20 other halves; 5 of them


def test_constant_columns_are_named_and_do_not_count() -> None:
    table = torch.ones(30, 2, dtype=torch.float64)
    groups = [f"p{k % 10}" for k in range(30)]
    found = exposure(table, table, ("a", "b"), groups, groups, config=CONFIG, seed=0)
    assert (found.constant, found.by_feature, found.auc.value) == (("a", "b"), {}, 0.5)


def test_recognising_a_user_does_not_help() -> None:
    """A column names the user, and most rows of odd ones are bots: 0.49 with a s.d. of 0.084 (4 of them: 3e-5)."""
    owner = [k for k in range(40) for _ in range(10)]
    is_bot = torch.tensor([(k % 2 == 1) == (turn < 9) for k in range(40) for turn in range(10)])
    value = torch.randn(40, generator=torch.Generator().manual_seed(1), dtype=torch.float64)[torch.tensor(owner)][
        :, None
    ]
    names = [f"p{k}" for k in owner]
    parts = [
        (value[kind], [n for n, one in zip(names, kind.tolist(), strict=True) if one]) for kind in (~is_bot, is_bot)
    ]
    (human_rows, human_names), (bot_rows, bot_names) = parts
    found = exposure(human_rows, bot_rows, ("name",), human_names, bot_names, config=CONFIG, seed=0)
    assert found.auc.value < 0.83


@pytest.mark.heavy
def test_an_audit_is_the_same_every_time_and_plain(human: list[Recording]) -> None:
    bots = recorded(2, 7.0, whole=False)
    one, other = (audited(human, bots) for _ in range(2))
    assert one == other
    content = json.loads(json.dumps(one.to_json(), allow_nan=False))
    assert (content["passed"], content["finding"]) == (one.passed, one.finding)
    table = one.table()
    assert [row[0] for row in table.rows] == ["raw recordings", "canonical form", "conditions"]
    assert "whole_px_share" in table.markdown() or "interval_ms" in table.markdown()


def test_too_few_users_are_refused(human: list[Recording]) -> None:
    few = canonical(human[:3])
    with pytest.raises(ConfigError, match="folds=5 and 3 groups"):
        audit(few, few, FORM, CONFIG, 0)
    alone = replace(canonical(human), group=("one",) * len(human))
    with pytest.raises(ConfigError, match="expected humans and bots on both sides of each fold, but got one kind"):
        audit(alone, canonical(recorded(2, 7.0, whole=False)), FORM, CONFIG, 0)


@pytest.mark.heavy
@pytest.mark.skipif(not SHARED.is_dir(), reason="the bots in ../shared/data are not here")
def test_third_party_bots_are_all_detected_by_their_raw_recordings() -> None:
    """Clocks and whole numbers alone separate every third-party style from users: the reason for the canonical form."""
    bots = read_bots(SHARED / "bots_thirdparty.parquet")
    human = [r for r in read_recordings("cursory").recordings if split_of(r.user) == "train"][::3]
    table, owners = raw_nuisances(human), [r.user for r in human]
    for style in ORIGINS:
        own = [r for r, name in zip(bots.recordings, bots.style, strict=True) if name == style]
        users = [r.user for r in own]
        found = exposure(table, raw_nuisances(own), tuple(RAW), owners, users, config=CONFIG, seed=0, folds=2)
        assert found.auc.value > 0.98, style


def test_the_counts_are_those_of_both_kinds(human: list[Recording]) -> None:
    both = canonical(human)
    found = audit(both, concatenate(both, both), FORM, CONFIG, 0)
    assert (found.humans, found.bots) == (len(both), 2 * len(both))
