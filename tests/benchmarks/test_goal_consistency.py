"""Benchmark of goal consistency: thresholds of the other half, users left out, and one small run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import goal_consistency
from benchmarks.goal_consistency import (
    FPR,
    TRAINING,
    WITH,
    WITHOUT,
    Scored,
    arguments,
    column_aucs,
    compared,
    critic_config_of,
    data_of,
    main,
    rates,
    rows,
)
from tests.trainables.data.source_tables import write_sources
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig
from trainables.detector.bots import FAMILIES
from trainables.detector.evaluation.per_source_thresholds import halves
from trainables.eval.detection.roc import threshold_at_fpr

USERS = ("a", "b", "c", "d", "e")


def scored(seed: int, shift: float = 2.0, worse: float = 0.0) -> Scored:
    random = torch.Generator().manual_seed(seed)
    owner = tuple(USERS[row % 5] for row in range(100))
    human = torch.randn(100, generator=random, dtype=torch.float64)
    bots = shift + torch.randn(100, generator=random, dtype=torch.float64)
    return Scored(human, {"pid": bots - worse}, owner, {"pid": owner})


def by_hand(one: Scored, fpr: float, left_out: str) -> tuple[float, float]:
    flagged, detected = [], []
    for fixed, read in (halves(one.owner), halves(one.owner)[::-1]):
        own = [float(f) for f, user in zip(one.human, one.owner, strict=True) if user in fixed and user != left_out]
        threshold = threshold_at_fpr(torch.tensor(own), fpr).value
        for f, bot, user in zip(one.human, one.bots["pid"], one.owner, strict=True):
            if user in read and user != left_out:
                flagged.append(float(f) > threshold)
                detected.append(float(bot) > threshold)
    return sum(flagged) / len(flagged), sum(detected) / len(detected)


def test_rates_are_read_on_the_half_that_fixed_no_threshold() -> None:
    one = scored(0)
    found = rates(one, 0.05)
    assert (found[FPR].value, found["pid"].value) == pytest.approx(by_hand(one, 0.05, ""))
    for at, user in enumerate(USERS):
        assert (found[FPR].without[at], found["pid"].without[at]) == pytest.approx(by_hand(one, 0.05, user))


def test_the_difference_is_0_for_the_same_scores_and_below_0_for_worse_ones() -> None:
    same = compared({WITHOUT: [scored(0), scored(1)], WITH: [scored(0), scored(1)]}, 0.05)
    assert {of["difference"].value for of in same.values()} == {0.0}
    worse = compared({WITHOUT: [scored(0), scored(1)], WITH: [scored(0, worse=1.0), scored(1, worse=1.0)]}, 0.05)
    assert worse["pid"]["difference"].value < -0.1
    assert worse[FPR]["difference"].value == 0


def test_the_auc_of_a_column_is_the_share_of_pairs_in_which_it_is_larger() -> None:
    random = torch.Generator().manual_seed(3)
    table, users = (torch.randint(0, 5, (n, 2), generator=random).double() for n in (7, 9))
    for column, found in enumerate(column_aucs(table, users)):
        pairs = [(float(a), float(b)) for a in table[:, column] for b in users[:, column]]
        assert found == pytest.approx(sum(1.0 if a > b else 0.5 * (a == b) for a, b in pairs) / len(pairs))


def test_rows_are_those_of_some_users_without_one() -> None:
    assert rows(np.array(["a", "b", "a", "c"]), {"a", "c"}, "c").tolist() == [0, 2]


def test_a_source_that_the_table_does_not_have_is_refused(tmp_path: Path) -> None:
    write_sources(tmp_path / "recordings.parquet", "first", users=2, movements=2)
    with pytest.raises(ConfigError, match=r"^expected movements of third in .*, but got none"):
        data_of("third", tmp_path / "recordings.parquet", tmp_path)
    with pytest.raises(ConfigError, match=r"^expected `--recordings` for the source third, but got none"):
        data_of("third", None, tmp_path)


def test_other_keys_of_a_critic_are_set() -> None:
    given = arguments(["--out", "x", "--critic-set", "model.similarity=l2", "model.embedding_dim=64"])
    model = critic_config_of(given, DataConfig()).model
    assert (model.similarity, model.embedding_dim) == ("l2", 64)
    wrong = arguments(["--out", "x", "--critic-set", "model.similarty=l2"])
    with pytest.raises(ConfigError, match=r"^unknown key model.similarty; did you mean `similarity`"):
        critic_config_of(wrong, DataConfig())


def test_a_run_compares_detectors_of_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sources(tmp_path / "recordings.parquet", "first", users=30, movements=8)
    small = ["--epochs", "1", "--critic-epochs", "1", "--critic-batch", "16", "--seeds", "1", "--sources", "first"]
    for name in ("CriticConfig", "DetectorConfig"):
        base = getattr(goal_consistency, name)
        monkeypatch.setattr(goal_consistency, name, lambda base=base: base(steps_per_epoch=1))
    assert main(["--out", str(tmp_path / "out"), "--recordings", str(tmp_path / "recordings.parquet"), *small]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("|")[3].strip() for line in lines[2:5]] == [FPR, "TPR, windmouse", "TPR, lognormal"]
    (result,) = json.loads((tmp_path / "out" / "results.json").read_text())
    assert result["source"] == "first"
    assert set(result["at_fpr"]) == {"0.01", "0.05"}
    assert set(result["auc"]) == {TRAINING, *FAMILIES}
    assert sum(line.startswith("| first |") for line in lines) == 6 + 1 + len(FAMILIES)
