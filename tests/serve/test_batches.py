import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.batches import SLACK, Batches, ChangedBatchError, Kept, StoreError, UnknownBatchError, batch_id_of

KEPT = Kept('{"n":1}', "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5")  # of b"body"


def test_an_id_is_32_digits_of_the_request_alone() -> None:
    assert batch_id_of('{"n":1}') == batch_id_of('{"n":1}') != batch_id_of('{"n":2}')
    assert len(batch_id_of("")) == 32
    assert set(batch_id_of("")) <= set("0123456789abcdef")


def test_what_is_kept_is_found_by_another_object_over_the_same_file(tmp_path: Path) -> None:
    Batches(tmp_path / "serve" / "batches.sqlite", 10).keep("a", KEPT)
    assert Batches(tmp_path / "serve" / "batches.sqlite", 10).find("a") == KEPT


def test_another_process_finds_it_too(tmp_path: Path) -> None:
    ours = Batches(tmp_path / "b.sqlite", 10)
    code = (
        "import sys; from pathlib import Path; from serve.batches import Batches, Kept; "
        "Batches(Path(sys.argv[1]), 10).keep('theirs', Kept('r', 's'))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.sqlite")], check=True)
    assert ours.find("theirs") == Kept("r", "s")


@pytest.mark.parametrize("name", ["", "b", "' OR 1=1 --", "../a"])
def test_an_id_that_was_never_kept_is_unknown(tmp_path: Path, name: str) -> None:
    batches = Batches(tmp_path / "b.sqlite", 10)
    batches.keep("a", KEPT)
    with pytest.raises(UnknownBatchError, match="no batch of this id was made here"):
        batches.find(name)


def test_the_oldest_go_and_a_request_that_comes_again_is_young(tmp_path: Path) -> None:
    batches, kept, count = Batches(tmp_path / "b.sqlite", 10), 10, 3 * SLACK
    for number in range(count):
        batches.keep(str(number), KEPT)
        batches.keep("again", KEPT)
        assert len(batches) <= kept + SLACK
    assert batches.find("again") == KEPT
    assert batches.find(str(count - 1)) == KEPT
    with pytest.raises(UnknownBatchError):
        batches.find("0")


def test_threads_share_it(tmp_path: Path) -> None:
    batches = Batches(tmp_path / "b.sqlite", 1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: batches.keep(str(number), Kept(str(number), "s")), range(200)))
        found = list(pool.map(lambda number: batches.find(str(number)).request, range(200)))
    assert found == [str(number) for number in range(200)]


def test_other_bytes_than_the_kept_ones_are_an_error() -> None:
    KEPT.require(b"body")
    with pytest.raises(ChangedBatchError, match="can no longer be made"):
        KEPT.require(b"Body")


def test_the_file_is_given_back(tmp_path: Path) -> None:
    batches = Batches(tmp_path / "b.sqlite", 10)
    batches.close()
    with pytest.raises(StoreError):
        batches.find("a")


def test_a_table_that_cannot_be_used_is_an_error_for_now_and_the_reason_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    batches = Batches(tmp_path / "b.sqlite", 10)
    batches._connection.execute("DROP TABLE batches")
    for change in (lambda: batches.keep("a", KEPT), lambda: batches.find("a")):
        with pytest.raises(StoreError, match="ask again later") as error:
            change()
        assert (error.value.status, error.value.retry_after_s) == (503, 5)
    assert "no such table" in caplog.text


def test_the_file_is_bounded_in_bytes_and_the_latest_stay(tmp_path: Path) -> None:
    size, long = 4_000_000, Kept("x" * 100_000, "s")
    batches = Batches(tmp_path / "b.sqlite", 10_000, size)
    for number in range(200):
        batches.keep(str(number), long)
    assert (tmp_path / "b.sqlite").stat().st_size <= size + 200_000
    assert 20 <= len(batches) <= 40
    assert [batches.find(str(number)) for number in range(185, 200)] == [long] * 15
    with pytest.raises(UnknownBatchError):
        batches.find("0")


def test_one_request_larger_than_the_file_may_be_is_kept_alone(tmp_path: Path) -> None:
    batches = Batches(tmp_path / "b.sqlite", 10, 10_000)
    for name in "ab":
        batches.keep(name, Kept("x" * 100_000, "s"))
    assert (len(batches), batches.find("b").sha256) == (1, "s")
