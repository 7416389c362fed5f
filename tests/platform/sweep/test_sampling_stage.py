"""The stage that searches sampling settings: settings by themselves, combined, and confirmed under new noise."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import torch
from rich.console import Console

from platform.study.config import TuneConfig
from platform.sweep.sampling_stage import AXES, _copy, choose, search_sampling, variations
from tests.platform.studies import study_in
from trainables.core.config import ConfigError, plain
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.training.checkpoint import load_checkpoint, save_checkpoint

OWN = SamplingConfig()


class Evaluator:
    """Stands in for the evaluation: the objective of a setting is the sum of what its changes bring."""

    def __init__(self, brings: Mapping[tuple[str, object], float], confirmed: float = 1.0) -> None:
        self.brings = brings
        self.confirmed = confirmed
        self.calls: list[tuple[int, str]] = []

    def __call__(self, samplings: Sequence[SamplingConfig], noise: str) -> list[JackknifeEstimate]:
        self.calls.append((len(samplings), noise))
        share = self.confirmed if noise == "confirmation" else 1.0
        values = [
            0.5 + share * sum(v for (k, x), v in self.brings.items() if getattr(one, k) == x) for one in samplings
        ]
        return [JackknifeEstimate(value, (value * 0.99, value, value * 1.01)) for value in values]


def test_every_variation_differs_from_the_checkpoints_own_and_changes_its_setting_alone() -> None:
    found = list(variations(OWN, most_steps=1000))
    assert {axis for axis, _, _ in found} == set(AXES)
    for _, changes, changed in found:
        assert changed != OWN
        assert {key for key, value in vars(changed).items() if value != getattr(OWN, key)} <= set(changes)
    assert all(changed.steps <= 20 for _, _, changed in variations(OWN, most_steps=20))


def test_the_best_value_of_each_setting_is_combined_and_confirmed_under_other_noise() -> None:
    evaluator = Evaluator({("steps", 40): -0.1, ("guidance", 0.8): -0.05, ("guidance", 0.9): -0.02, ("steps", 10): 0.1})
    choice = choose(OWN, 1000, evaluator)
    assert (choice.sampling.steps, choice.sampling.guidance) == (40, 0.8)
    assert (choice.sampling.spacing, choice.sampling.sampler) == (OWN.spacing, OWN.sampler)
    assert choice.gain is not None
    assert choice.gain.value == pytest.approx(-0.15)
    assert [noise for _, noise in evaluator.calls] == ["choice", "confirmation"]


@pytest.mark.parametrize("confirmed", [0.0, -1.0])
def test_what_new_noise_does_not_confirm_is_not_kept(confirmed: float) -> None:
    assert choose(OWN, 1000, Evaluator({("steps", 40): -0.1}, confirmed)).sampling == OWN


def test_where_no_setting_is_better_nothing_is_confirmed() -> None:
    evaluator = Evaluator({("steps", 40): 0.1})
    choice = choose(OWN, 1000, evaluator)
    assert (choice.sampling, choice.gain, len(evaluator.calls)) == (OWN, None, 1)


def test_a_copy_has_the_weights_and_the_new_settings(tmp_path: Path) -> None:
    original, weights = tmp_path / "checkpoint", {"model.weight": torch.arange(6.0)}
    save_checkpoint(original, weights, {"kind": "diffusion", "config": plain(DiffusionConfig())})
    copy = _copy(original, SamplingConfig(guidance=0.8), tmp_path / "sampling")
    assert copy == _copy(original, SamplingConfig(guidance=0.8), tmp_path / "sampling")
    (tensors, record), (_, before) = load_checkpoint(copy), load_checkpoint(original)
    assert torch.equal(tensors["model.weight"], weights["model.weight"])
    assert record["weights_sha256"] == before["weights_sha256"]
    assert record["config"]["sampling"] == {**before["config"]["sampling"], "guidance": 0.8}


def test_without_a_leaderboard_the_line_names_the_command(tmp_path: Path) -> None:
    study_in(tmp_path / "s")
    with pytest.raises(ConfigError, match=r"run `python -m platform\.tune study_name=s` to its end"):
        search_sampling(Console(), TuneConfig(storage_path=str(tmp_path), study_name="s"))
