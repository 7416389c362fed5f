"""An id that depends on the time, the hash seed or a folder of the process is found; one that does not passes."""

from pathlib import Path

import pytest

from tests.ids import faults, main

LAW = "import pytest, tempfile, time\n@pytest.mark.parametrize('value', [{value}])\ndef test_value(value): pass\n"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of tests that pytest collects without this project's settings."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p xdist")
    return tmp_path


@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("'written out'", 0),
        ("str(int(time.time()))", 1),
        ("str(hash('a word'))", 1),
        ("tempfile.gettempdir()", 1),
    ],
    ids=["written out", "time", "hash seed", "folder"],
)
def test_an_id_is_the_same_in_every_process(
    value: str, code: int, project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "test_one.py").write_text(LAW.format(value=value))
    assert main([]) == code
    printed = capsys.readouterr().out
    if code:
        assert printed.startswith("- test_one.py::test_value[")
        assert "but got 2 that differ; write them out" in printed
    else:
        assert printed == "the 1 test ids are the same in two processes\n"


def test_tests_that_cannot_be_collected_fail_the_check(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "test_one.py").write_text("import no_such_module\n")
    assert main([]) == 1
    assert "No module named 'no_such_module'" in capsys.readouterr().out


def test_a_difference_in_order_is_a_difference() -> None:
    assert faults(["a::x", "a::y"], ["a::x", "a::y"]) == []
    assert faults(["a::x", "a::y"], ["a::y", "a::x"]) != []
