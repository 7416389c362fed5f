"""The folder of an output: new ones and those that exist are returned, a file in its way is one line."""

from pathlib import Path

import pytest

from trainables.core.config import ConfigError
from trainables.core.output_folder import output_folder


@pytest.mark.parametrize("name", ["", "new", "new/deeper"])
def test_a_folder_is_returned_and_not_made(tmp_path: Path, name: str) -> None:
    before = [*tmp_path.iterdir()]
    assert output_folder(str(tmp_path / name)) == tmp_path / name
    assert [*tmp_path.iterdir()] == before


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_a_file_in_its_way_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    law = r"^expected `out_dir` to be a folder that can be written, but got .*/file, which is none; name another one$"
    with pytest.raises(ConfigError, match=law):
        output_folder(str(tmp_path / name))
