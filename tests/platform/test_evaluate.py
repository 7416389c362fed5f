"""The platform's spelling of the evaluation."""

import pytest

from platform import evaluate
from trainables.core.cli import WRONG_INPUT, run
from trainables.model_evaluation import evaluate_generator


def test_it_is_the_same_command_under_the_platforms_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(evaluate.COMMAND, evaluate_generator.main, ["--help"]) == 0
    text = capsys.readouterr().out
    assert "python -m platform.evaluate ckpt=FOLDER" in text
    assert "trainables.eval.diffusion_eval" not in text
    assert run(evaluate.COMMAND, evaluate_generator.main, ["--cfg", "job"]) == 0
    config = capsys.readouterr().out
    assert run(evaluate_generator.COMMAND, evaluate_generator.main, ["--cfg", "job"]) == 0
    assert capsys.readouterr().out == config
    assert run(evaluate.COMMAND, evaluate_generator.main, []) == WRONG_INPUT
