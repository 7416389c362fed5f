"""The one command of evaluation: the kind of the checkpoint chooses what is done and which keys there are."""

from collections.abc import Callable
from pathlib import Path

import pytest

from platform import evaluate
from trainables.core.cli import WRONG_INPUT, run
from trainables.core.command import Request
from trainables.detector import judge
from trainables.eval import diffusion_eval
from trainables.training.checkpoint import save_checkpoint


def test_it_is_the_same_command_under_the_platforms_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(evaluate.COMMAND, diffusion_eval.main, ["--help"]) == 0
    text = capsys.readouterr().out
    assert "python -m platform.evaluate ckpt=FOLDER" in text
    assert "trainables.eval.diffusion_eval" not in text
    assert run(evaluate.COMMAND, diffusion_eval.main, ["--cfg", "job"]) == 0
    config = capsys.readouterr().out
    assert run(diffusion_eval.COMMAND, diffusion_eval.main, ["--cfg", "job"]) == 0
    assert capsys.readouterr().out == config
    assert run(evaluate.COMMAND, diffusion_eval.main, []) == WRONG_INPUT


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A checkpoint's record per kind; nothing of it is trained."""
    place = tmp_path_factory.mktemp("checkpoints")
    for kind in ("gan", "detector", "critic", "agent"):
        save_checkpoint(place / kind, {}, {"kind": kind})
    return {kind: place / kind for kind in ("gan", "detector", "critic", "agent")}


def test_the_kind_of_the_checkpoint_chooses_the_evaluation(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    called: list[str] = []

    def stand_in(name: str) -> Callable[[Request], int]:
        def work(request: Request) -> int:
            called.append(name)
            return 0

        return work

    for name in ("generator", "detector", "critic", "agent"):
        monkeypatch.setattr(getattr(evaluate, name), "main", stand_in(name))
    for given in (f"ckpt={folders['gan']}", f"ckpt={folders['detector']}", f"samples={tmp_path}/file.npy"):
        assert evaluate.main([given]) == 0
    assert evaluate.main([f"ckpt={folders['gan']}", f"ckpt={folders['detector']}"]) == 0  # of two the last counts
    for kind in ("critic", "agent"):
        assert evaluate.main([f"ckpt={folders[kind]}"]) == 0
    assert called == ["generator", "detector", "generator", "detector", "critic", "agent"]


@pytest.mark.parametrize(
    ("kind", "argument"),
    [
        ("gan", "bots=b.parquet"),
        ("gan", "report.fprs=[0.1]"),
        ("gan", "leave_one_out=x.json"),
        ("detector", "metrics=[mmd]"),
        ("detector", "sampling.eta=1"),
        ("detector", "val_split=f.csv"),
        ("detector", "eval_seeds=2"),
        ("critic", "metrics=[mmd]"),
        ("critic", "bots=b.parquet"),
        ("agent", "metrics=[mmd]"),
        ("gan", "eval_seeds=2"),
    ],
)
def test_a_key_of_the_other_kind_is_refused_in_one_line(
    folders: dict[str, Path], kind: str, argument: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([f"ckpt={folders[kind]}", argument]) == WRONG_INPUT
    line = capsys.readouterr().err
    key = argument.partition("=")[0].partition(".")[0]
    assert line.startswith(f"error: `{argument}`: `{key}` is for ")
    assert line.endswith("leave it out\n")
    assert line.count("\n") == 1


def test_the_former_key_people_is_refused_with_the_new_name(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main([f"ckpt={folders['detector']}", "people=p.parquet"]) == WRONG_INPUT
    assert capsys.readouterr().err == "error: `people` was renamed: use users=p.parquet\n"


def test_the_former_command_names_the_present_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert judge.main() == WRONG_INPUT
    assert "use python -m platform.evaluate ckpt=FOLDER" in capsys.readouterr().err
