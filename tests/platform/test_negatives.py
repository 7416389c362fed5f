"""Movements of a service in a folder: of one champion, as many as configured, or one line and nothing written."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from platform.core import fetch_negatives
from platform.negatives import COMMAND, main
from serve.api import create_app
from serve.client import HardNegatives
from serve.jobs import SEED_LIMIT, Job, SampleResult, ServeError, ShortageError
from serve.patience import RetryPolicy
from serve.settings import ServeConfig
from serve.tokens import Tokens
from tests.serve.fakes import CHAMPION, DETECTOR, TOKEN, FakeBackend, tokens
from tests.serve.servers import served
from trainables.core.cli import FAILED, WRONG_INPUT, run
from trainables.core.seeding import generator
from trainables.data.canonical import decode
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.mixture import conditions_for, mixture
from trainables.detector.dataset.negatives import ROUNDS
from trainables.detector.dataset.served_negatives import read_served

QUICK = RetryPolicy(attempts=3, first_wait_s=0.001, max_wait_s=0.002)
OTHER = "0002-bbbbbbbbbbbb"
N = 9


@dataclass
class Service(FakeBackend):
    """Returns straight movements of the requested duration, each step displaced by the seed.

    Attributes:
        stuck: Number of rows that do not move, for each of the first rounds.
        after: Champion after the first response.
        heeds: Whether it uses the champion that is requested by id.
        fails: Number of responses that are temporary errors.
    """

    stuck: tuple[int, ...] = ()
    after: str = CHAMPION
    heeds: bool = True
    fails: int = 0

    async def sample(self, job: Job) -> SampleResult:
        """One answer."""
        if self.fails:
            self.fails -= 1
            raise ServeError("for now")
        drawn = await super().sample(job)
        length = np.rint(np.exp(drawn.condition[:, 0]) * 60).astype(np.int32)
        valid = np.arange(drawn.deltas.shape[1]) < length[:, None]
        deltas = (1 + 0.1 * drawn.deltas * (1, 0)) / length[:, None, None] * (1, 0) * valid[..., None]
        if len(self.jobs) <= len(self.stuck):
            deltas[: self.stuck[len(self.jobs) - 1]] = 0.0
        model = drawn.model if self.heeds else str(self.champion)
        self.champion = self.after
        return replace(drawn, deltas=deltas.astype(np.float32), length=length, model=model)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that gives up soon, without a token."""
    monkeypatch.setattr(fetch_negatives, "HardNegatives", partial(HardNegatives, retry=QUICK))
    monkeypatch.delenv("HUMOUSE_TOKEN", raising=False)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def url(service: Service, tmp_path: Path) -> Iterator[str]:
    settings = ServeConfig(storage_path=str(tmp_path / "storage"))
    with served(create_app(service, settings, Tokens())) as address:
        yield address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "made" / "negatives"


def drawn(url: str, folder: Path, *overrides: str) -> int:
    return run(COMMAND, main, [f"url={url}", f"out_dir={folder}", f"n={N}", *overrides])


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error."""
    captured = capsys.readouterr().err
    assert captured.count("\n") == 1
    assert captured.startswith("error: ")
    return captured.strip()


# what is written


def test_movements_of_the_champion_under_conditions_of_training_users_are_stored(
    url: str, folder: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drawn(url, folder, "seed=4") == 0
    kept, users = read_served(folder), load_splits(DataConfig())["train"]
    assert (kept.model, kept.model_sha256, kept.refused) == (CHAMPION, "a" * 64, 0)
    assert kept.form == CanonicalConfig()
    assert kept.request == {"seed": 4, "steps": None, "candidates": None, "source": None, "hardness": None}
    like = conditions_for(users, N, generator(4, "served"))
    assert len(kept.canonical) == N
    assert kept.canonical.group == like.group
    assert torch.equal(kept.canonical.duration_s, like.duration_s)
    assert torch.equal(kept.canonical.mask, like.mask)
    (job,) = service.jobs
    assert (job.n, job.seq_len, job.model, job.hardness) == (N, 64, "", None)
    requested = torch.tensor(job.conditions, dtype=torch.float64)
    torch.testing.assert_close(requested, like.condition(), rtol=1e-6, atol=0, equal_nan=True)
    assert kept.requested is not None
    torch.testing.assert_close(kept.requested.raw, requested, rtol=1e-6, atol=0, equal_nan=True)
    assert torch.equal(kept.requested.angle, like.angle.double())
    assert kept.data_sha256 == load_splits(DataConfig()).sha256
    assert capsys.readouterr().out.strip() == (
        f"{folder}: {N} movements of {CHAMPION} (aaaaaaaaaaaa), 0 without a canonical form replaced"
    )


def test_a_source_is_requested_and_kept_with_the_movements(url: str, folder: Path, service: Service) -> None:
    assert drawn(url, folder, "source=sapimouse") == 0
    assert {job.source for job in service.jobs} == {"sapimouse"}
    assert read_served(folder).request["source"] == "sapimouse"


def test_they_pass_the_observation_model(url: str, folder: Path) -> None:
    """Whole pixels, at most half of one off the path of the service, in the direction of the user's movement."""
    assert drawn(url, folder) == 0
    kept = read_served(folder).canonical
    steps_px = decode(kept, CanonicalConfig()).steps_px
    assert torch.equal(steps_px, steps_px.round())
    like = conditions_for(load_splits(DataConfig())["train"], N, generator(0, "served"))
    off = (kept.angle - like.angle + torch.pi) % (2 * torch.pi) - torch.pi
    assert float(off.abs().max()) < 0.5
    assert float((kept.distance_px / like.distance_px).log().abs().max()) < 0.5


def test_a_training_uses_the_fetched_movements(url: str, folder: Path) -> None:
    assert drawn(url, folder) == 0
    config = NegativesConfig(bots=0.0, served=1.0, served_folder=str(folder))
    found = mixture(load_splits(DataConfig())["train"], N, config, CanonicalConfig(), 0)
    assert (set(found.style), set(found.model)) == ({"served"}, {"a" * 64})


def test_the_seed_determines_the_movements(url: str, tmp_path: Path) -> None:
    for number, seed in enumerate((1, 1, 2)):
        assert drawn(url, tmp_path / str(number), f"seed={seed}") == 0
    one, same, other = (read_served(tmp_path / str(number)).canonical.deltas for number in range(3))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_steps_candidates_and_length_are_requested(url: str, folder: Path, service: Service) -> None:
    assert drawn(url, folder, "steps=3", "candidates=4", "data.canonical.sequence_length=48") == 0
    (job,) = service.jobs
    assert (job.sampling.steps, job.sampling.candidates, job.seq_len) == (3, 4, 48)
    assert read_served(folder).form == CanonicalConfig(sequence_length=48)


def test_with_a_hardness_the_service_samples_the_conditions(url: str, folder: Path, service: Service) -> None:
    assert drawn(url, folder, "hardness=[0.0,0.5]") == 0
    (job,) = service.jobs
    assert (job.hardness, job.conditions) == ((0.0, 0.5), ())
    kept = read_served(folder)
    evaluated = {"hardness": [0.0, 0.5], "detector": DETECTOR, "looked_through": N}
    assert kept.request == {"seed": 0, "steps": None, "candidates": None, "source": None} | evaluated
    assert kept.canonical.group == ("served",) * N
    assert kept.canonical.mask.sum(dim=1).tolist() == [22] * N  # exp(-1) s


def test_unusable_movements_are_replaced_and_counted(url: str, folder: Path, service: Service) -> None:
    service.stuck = (3, 1)
    assert drawn(url, folder) == 0
    kept = read_served(folder)
    assert kept.refused == 4
    assert [job.n for job in service.jobs] == [N, 3, 1]
    assert len({job.seed for job in service.jobs}) == 3
    like = conditions_for(load_splits(DataConfig())["train"], N, generator(0, "served"))
    assert torch.equal(kept.canonical.duration_s, like.duration_s)


def test_attempts_of_different_seeds_never_share_a_random_stream(url: str, tmp_path: Path, service: Service) -> None:
    known = set[int]()
    for seed in (0, 1):
        service.stuck = (3, 2, 1)
        service.jobs.clear()
        assert drawn(url, tmp_path / str(seed), f"seed={seed}") == 0
        streams = {job.seed for job in service.jobs}
        assert len(streams) == 4
        assert all(0 <= stream < SEED_LIMIT for stream in streams)
        assert not streams & known
        known |= streams


# one champion


@pytest.mark.parametrize("reason", ["chunks", "refused"])
def test_a_promotion_in_mid_run_mixes_nothing(
    url: str, folder: Path, service: Service, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request after the first response names the champion of that response."""
    service.after = OTHER
    if reason == "chunks":
        monkeypatch.setattr("serve.client.CHUNK_ROWS", 4)
    else:
        service.stuck = (2, 1)
    assert drawn(url, folder) == 0
    assert [job.model for job in service.jobs] == ["", CHAMPION, CHAMPION]
    assert service.champion == OTHER
    assert read_served(folder).model == CHAMPION
    assert len(read_served(folder).canonical) == N


def test_replacements_are_scored_by_the_same_detector(url: str, folder: Path, service: Service) -> None:
    service.stuck = (2, 1)
    assert drawn(url, folder, "hardness=[0.0,0.5]") == 0
    assert [(job.model, job.detector) for job in service.jobs] == [("", ""), *[(CHAMPION, DETECTOR)] * 2]


def test_requests_with_a_hardness_come_in_chunks_that_fit_the_timeout_of_the_service(
    url: str, folder: Path, service: Service
) -> None:
    assert drawn(url, folder, "hardness=[0.0,0.5]", "n=150") == 0
    assert [job.n for job in service.jobs] == [128, 22]
    assert len({job.seed for job in service.jobs}) == 1


def test_a_response_of_another_champion_is_refused(
    url: str, folder: Path, service: Service, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serve.client.CHUNK_ROWS", 4)
    service.after, service.heeds = OTHER, False
    assert drawn(url, folder) == FAILED
    assert f"of {CHAMPION}, but got 4 rows of {OTHER}" in printed(capsys)
    assert not folder.parent.exists()


# a service that fails


def test_a_temporary_failure_of_the_service_is_retried(url: str, folder: Path, service: Service) -> None:
    service.fails = 2
    assert drawn(url, folder) == 0
    assert len(read_served(folder).canonical) == N


def test_an_unavailable_service_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert drawn("http://127.0.0.1:9", folder) == FAILED
    assert "(given up after 3 attempts)" in printed(capsys)
    assert not folder.parent.exists()


@pytest.mark.parametrize("fault", ["refuses", "fails", "is too slow"])
def test_each_failure_of_a_service_is_one_line(
    url: str, folder: Path, service: Service, fault: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = list[str]()
    if fault == "refuses":
        service.failure = ShortageError("3 of 9 rows")
    elif fault == "fails":
        service.fails = 100
    else:
        service.delay_s, overrides = 0.6, ["timeout_s=0.2"]
    assert drawn(url, folder, *overrides) == FAILED
    assert {"refuses": "409: 3 of 9 rows", "fails": "given up", "is too slow": "0.2 s"}[fault] in printed(capsys)
    assert not folder.parent.exists()


def test_a_failure_after_some_chunks_leaves_nothing(
    url: str, folder: Path, service: Service, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("serve.client.CHUNK_ROWS", 4)
    whole = Service.sample

    async def sample(self: Service, job: Job) -> SampleResult:
        if self.jobs:
            raise ShortageError("no more")
        return await whole(self, job)

    monkeypatch.setattr(Service, "sample", sample)
    assert drawn(url, folder) == FAILED
    assert "409: no more" in printed(capsys)
    assert len(service.jobs) == 1
    assert not folder.parent.exists()


def test_a_service_with_unusable_movements_is_one_line(
    url: str, folder: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    service.stuck = (1,) * ROUNDS
    assert drawn(url, folder) == WRONG_INPUT
    assert f"expected {N} movements of `served`, but 1 of them could not be represented in canonical form" in printed(
        capsys
    )
    assert not folder.parent.exists()


def test_a_token_is_taken_from_the_environment(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(create_app(service, ServeConfig(storage_path=str(tmp_path / "storage")), tokens())) as address:
        assert drawn(address, tmp_path / "without") == FAILED
        assert "401: " in printed(capsys)
        monkeypatch.setenv("HUMOUSE_TOKEN", TOKEN)
        assert drawn(address, tmp_path / "with") == 0
    assert not (tmp_path / "without").exists()


# wrong input


def test_an_existing_folder_is_not_overwritten_and_no_request_is_sent(
    url: str, tmp_path: Path, service: Service, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "kept").write_text("mine")
    for place in (tmp_path, tmp_path / "kept"):
        assert drawn(url, place) == WRONG_INPUT
        assert printed(capsys).startswith(f"error: {place}: exists already; choose another out_dir")
    assert (tmp_path / "kept").read_text() == "mine"
    assert not service.jobs


@pytest.mark.parametrize(
    ("override", "law"),
    [
        ("n=0", "`n >= 1`"),
        ("out_dir=''", "`out_dir` to be a folder"),
        ("hardness=[0.1]", "`hardness` to have 2 entries"),
        ("hardness=[0.9,0.1]", "hardness"),
        ("url=''", "exactly one of `url` and `handle`"),
        ("seed=-1", "seed=-1"),
        ("data.canonical.representation=splines", "representation"),
        ("out_dirr=x", "unknown key out_dirr; did you mean `out_dir`?"),
    ],
)
def test_an_invalid_value_is_reported_and_no_request_is_sent(
    url: str, folder: Path, service: Service, override: str, law: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert drawn(url, folder, override) == WRONG_INPUT
    assert law in printed(capsys)
    assert not service.jobs
    assert not folder.parent.exists()


@pytest.mark.parametrize("representation", ["normalised_time", "events"])
def test_a_champion_of_another_form_is_refused(
    url: str, folder: Path, representation: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its steps would be taken for what they are not."""
    assert drawn(url, folder, f"data.canonical.representation={representation}") == WRONG_INPUT
    line = printed(capsys)
    assert "expected the canonical form of the champion to be that of `data.canonical`, but got" in line
    assert representation in line
    assert not folder.parent.exists()
