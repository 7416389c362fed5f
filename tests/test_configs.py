"""Every file in configs/ composes under a command, and its values build that command's dataclasses."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from benchmarks import hard_negatives
from platform import data, doctor, evaluate, labels, negatives, promote, selector, train, tune
from platform.core.data_config import ConvertConfig, EvaluationRowsConfig, InspectConfig
from platform.core.negatives_config import NegativesConfig
from platform.core.selector_config import SelectorConfig
from platform.core.store_config import ForgetConfig, StoreConfig
from platform.core.store_verbs import STORE_COMMANDS
from platform.preflight.config import DoctorConfig, LabelsConfig
from platform.promotion.config import PromoteConfig
from platform.study.search_space import sweep_of
from platform.train import TrainConfig
from serve import launch
from serve.settings import ServeConfig
from trainables.core.cli import parse
from trainables.core.command import CONFIGS, Command, Request
from trainables.core.config import build, plain
from trainables.critic.agent.evaluation.config import AgentEvaluationCommand
from trainables.critic.evaluation.config import CriticEvaluationCommand
from trainables.detector import export, leave_one_out
from trainables.detector.config import ExportConfig
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.diffusion import sample
from trainables.diffusion import train as experiment
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.sampling_config import SampleConfig
from trainables.eval import diffusion_eval
from trainables.model_evaluation.config import EvalConfig
from trainables.specs import TRAINABLES


def build_run(request: Request) -> object:
    settings = build(TrainConfig, without(request.config, "trainable"))
    return settings, build(TRAINABLES[request.choices["trainable"]].config, request.config["trainable"])


def build_experiment(request: Request) -> object:
    place = {key: request.config[key] for key in plain(experiment.PlaceConfig())}
    return build(experiment.PlaceConfig, place), build(DiffusionConfig, without(request.config, *place))


def without(config: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in keys}


BUILDERS: dict[str, tuple[Command, Callable[[Request], object]]] = {
    "tune": (tune.COMMAND, sweep_of),
    "train": (train.COMMAND, build_run),
    "promote": (promote.COMMAND, lambda request: build(PromoteConfig, request.config)),
    "doctor": (doctor.COMMAND, lambda request: build(DoctorConfig, without(request.config, "trainable"))),
    "labels": (labels.COMMAND, lambda request: build(LabelsConfig, without(request.config, "trainable"))),
    "data": (data.COMMAND, lambda request: build(EvaluationRowsConfig, request.config)),
    "store": (STORE_COMMANDS["store"], lambda request: build(StoreConfig, request.config)),
    "forget": (STORE_COMMANDS["forget"], lambda request: build(ForgetConfig, {**request.config, "user": "a"})),
    "inspect": (data.COMMAND.own["inspect"], lambda request: build(InspectConfig, {**request.config, "path": "a.csv"})),
    "convert": (data.COMMAND.own["convert"], lambda request: build(ConvertConfig, {**request.config, "path": "a.csv"})),
    "negatives": (negatives.COMMAND, lambda request: build(NegativesConfig, request.config)),
    "selector": (selector.COMMAND, lambda request: build(SelectorConfig, request.config)),
    "hard_negatives": (
        hard_negatives.COMMAND,
        lambda request: build(hard_negatives.StudyConfig, request.config),
    ),
    "detector/evaluate": (
        evaluate.DETECTOR_COMMAND,
        lambda request: build(DetectorEvaluationCommand, request.config),
    ),
    "critic/evaluate": (
        evaluate.CRITIC_COMMAND,
        lambda request: build(CriticEvaluationCommand, request.config),
    ),
    "agent/evaluate": (
        evaluate.AGENT_COMMAND,
        lambda request: build(AgentEvaluationCommand, request.config),
    ),
    "detector/export": (export.COMMAND, lambda request: build(ExportConfig, request.config)),
    "detector/leave_one_out": (leave_one_out.COMMAND, leave_one_out.configs),
    "serve": (launch.COMMAND, lambda request: build(ServeConfig, request.config)),
    "diffusion/train": (experiment.COMMAND, build_experiment),
    "diffusion/sample": (sample.COMMAND, lambda request: build(SampleConfig, request.config)),
    "diffusion/eval": (
        diffusion_eval.COMMAND,
        lambda request: build(EvalConfig, request.config),
    ),
}
OF_A_CHECKPOINT = (
    *("diffusion/sample", "diffusion/eval", "detector/export", "selector"),
    *("detector/evaluate", "critic/evaluate", "agent/evaluate"),
)
FILES = sorted(path.relative_to(CONFIGS).with_suffix("").as_posix() for path in CONFIGS.rglob("*.yaml"))


def chosen_by(file: str) -> tuple[str, list[str]]:
    """The command that composes a file, and the override that chooses it."""
    if file in BUILDERS:
        return file, ["ckpt=checkpoint"] if file in OF_A_CHECKPOINT else []
    folder, _, name = file.rpartition("/")
    return {
        "diffusion": ("diffusion/train", [f"experiment={name}"]),
        "trainable": ("train", [f"trainable={name}"]),
        "budget": ("tune", [f"budget={name}"]),
    }[folder]


@pytest.mark.parametrize("file", FILES)
def test_every_file_builds_what_its_command_takes(file: str) -> None:
    key, overrides = chosen_by(file)
    command, builder = BUILDERS[key]
    builder(parse(command, overrides))


@pytest.mark.parametrize("command", [command for command, _ in BUILDERS.values()], ids=list(BUILDERS))
def test_every_command_has_its_file(command: Command) -> None:
    assert (CONFIGS / f"{command.config_name}.yaml").is_file()


@pytest.mark.parametrize("name", ["quick", "standard", "overnight"])
def test_a_preset_of_the_budget_gives_way_to_the_keys_of_the_user(name: str) -> None:
    """The larger two train the finalists anew under two seeds at least; quick is the default."""
    preset = sweep_of(parse(tune.COMMAND, [f"budget={name}"])).settings
    assert (preset.finalists.retrain_seeds >= 2, preset.finalists.top) == (name != "quick", 3)
    own = sweep_of(parse(tune.COMMAND, ["budget.trials=5", f"budget={name}", "finalists.retrain_seeds=1"])).settings
    assert (own.budget.trials, own.finalists.retrain_seeds) == (5, 1)
    assert own.budget.time_limit == preset.budget.time_limit
    assert (preset == sweep_of(parse(tune.COMMAND, [])).settings) == (name == "quick")


def test_quick_is_at_most_ten_minutes_of_trials() -> None:
    assert sweep_of(parse(tune.COMMAND, [])).settings.budget.time_limit_s <= 600


def test_the_platforms_evaluation_is_the_same_command() -> None:
    assert parse(evaluate.COMMAND, []) == parse(diffusion_eval.COMMAND, [])


def test_the_preset_of_the_seed_carries_its_values() -> None:
    config = build(
        DiffusionConfig,
        without(parse(experiment.COMMAND, ["experiment=train"]).config, *plain(experiment.PlaceConfig())),
    )
    model, optim = config.model, config.optim
    assert (config.seed, config.epochs, config.batch_size, config.data.canonical.sequence_length) == (1337, 80, 64, 200)
    assert (model.base_channels, model.channel_mults, model.dropout) == (96, (1.0, 1.5, 2.0, 2.0), 0.1)
    assert model.self_condition
    assert (config.diffusion.objective, config.diffusion.schedule, config.diffusion.timesteps) == ("v", "cosine", 1000)
    assert config.diffusion.min_snr_gamma == 5.0
    assert (optim.lr, optim.weight_decay, optim.betas, optim.grad_clip) == (2e-4, 1e-2, (0.9, 0.999), 1.0)
    assert (optim.ema_decay, optim.mixed_precision, config.evaluation.movements) == (0.999, True, 512)
    assert sum(parameter.numel() for parameter in UNet1D(model.unet()).parameters()) <= 3_000_000
