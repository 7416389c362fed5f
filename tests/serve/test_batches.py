import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serve.batches import (
    SLACK,
    BatchStore,
    ChangedBatchError,
    StoredRequest,
    StoreError,
    UnknownBatchError,
    batch_id_of,
)

STORED = StoredRequest('{"n":1}', "230d8358dc8e8890b4c58deeb62912ee2f20357ae92a5cc861b98e68fe31acb5")  # of b"body"


def test_an_id_is_32_digits_of_the_request_alone() -> None:
    assert batch_id_of('{"n":1}') == batch_id_of('{"n":1}') != batch_id_of('{"n":2}')
    assert len(batch_id_of("")) == 32
    assert set(batch_id_of("")) <= set("0123456789abcdef")


def test_a_stored_request_is_read_by_another_object_with_the_same_file(tmp_path: Path) -> None:
    BatchStore(tmp_path / "serve" / "batches.sqlite", 10).put("a", STORED)
    assert BatchStore(tmp_path / "serve" / "batches.sqlite", 10).find("a") == STORED


def test_a_request_stored_by_another_process_is_read(tmp_path: Path) -> None:
    ours = BatchStore(tmp_path / "b.sqlite", 10)
    code = (
        "import sys; from pathlib import Path; from serve.batches import BatchStore, StoredRequest; "
        "BatchStore(Path(sys.argv[1]), 10).put('theirs', StoredRequest('r', 's'))"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "b.sqlite")], check=True)
    assert ours.find("theirs") == StoredRequest("r", "s")


@pytest.mark.parametrize("name", ["", "b", "' OR 1=1 --", "../a"])
def test_an_id_that_was_never_stored_is_unknown(tmp_path: Path, name: str) -> None:
    batches = BatchStore(tmp_path / "b.sqlite", 10)
    batches.put("a", STORED)
    with pytest.raises(UnknownBatchError, match="unknown or expired batch id"):
        batches.find(name)


def test_the_oldest_rows_are_deleted_and_a_repeated_request_becomes_the_latest(tmp_path: Path) -> None:
    batches, max_rows, count = BatchStore(tmp_path / "b.sqlite", 10), 10, 3 * SLACK
    for number in range(count):
        batches.put(str(number), STORED)
        batches.put("again", STORED)
        assert len(batches) <= max_rows + SLACK
    assert batches.find("again") == STORED
    assert batches.find(str(count - 1)) == STORED
    with pytest.raises(UnknownBatchError):
        batches.find("0")


def test_threads_share_a_store(tmp_path: Path) -> None:
    batches = BatchStore(tmp_path / "b.sqlite", 1000)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: batches.put(str(number), StoredRequest(str(number), "s")), range(200)))
        found = list(pool.map(lambda number: batches.find(str(number)).request, range(200)))
    assert found == [str(number) for number in range(200)]


def test_other_bytes_than_the_stored_ones_are_an_error() -> None:
    STORED.check(b"body")
    with pytest.raises(ChangedBatchError, match="cannot be reproduced"):
        STORED.check(b"Body")


def test_a_closed_store_refuses(tmp_path: Path) -> None:
    batches = BatchStore(tmp_path / "b.sqlite", 10)
    batches.close()
    with pytest.raises(StoreError):
        batches.find("a")


def test_a_database_error_is_503_and_its_reason_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    batches = BatchStore(tmp_path / "b.sqlite", 10)
    batches._connection.execute("DROP TABLE batches")
    for change in (lambda: batches.put("a", STORED), lambda: batches.find("a")):
        with pytest.raises(StoreError, match="retry later") as error:
            change()
        assert (error.value.status, error.value.retry_after_s) == (503, 5)
    assert "no such table" in caplog.text


def test_the_file_is_bounded_in_bytes_and_the_latest_stay(tmp_path: Path) -> None:
    size, long = 4_000_000, StoredRequest("x" * 100_000, "s")
    batches = BatchStore(tmp_path / "b.sqlite", 10_000, size)
    for number in range(200):
        batches.put(str(number), long)
    assert (tmp_path / "b.sqlite").stat().st_size <= size + 200_000
    assert 20 <= len(batches) <= 40
    assert [batches.find(str(number)) for number in range(185, 200)] == [long] * 15
    with pytest.raises(UnknownBatchError):
        batches.find("0")


def test_a_request_larger_than_the_limit_of_the_file_is_stored_alone(tmp_path: Path) -> None:
    batches = BatchStore(tmp_path / "b.sqlite", 10, 10_000)
    for name in "ab":
        batches.put(name, StoredRequest("x" * 100_000, "s"))
    assert (len(batches), batches.find("b").sha256) == (1, "s")
