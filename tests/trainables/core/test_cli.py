"""Command lines from both ends: a small command of the test's own, and the sweep's, whose input is never trusted."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform.study.config import TuneConfig
from platform.study.search_space import sweep_of
from platform.tune import COMMAND
from trainables.core import cli, command
from trainables.core.bounds import PositiveFloat, PositiveInt
from trainables.core.cli import FAILED, INTERRUPTED, WRONG_INPUT, parse, run
from trainables.core.command import Command, Request
from trainables.core.config import ConfigError, build, plain
from trainables.core.help import written

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Oven:
    """How hot it is."""

    celsius: PositiveFloat = 180.0  # temperature of the air
    fan: bool = False  # move it


@dataclass(frozen=True)
class Bake:
    """A cake."""

    minutes: PositiveInt = 30  # time in the oven
    oven: Oven = field(default_factory=Oven)
    name: str = "cake"  # what it is called


@dataclass(frozen=True)
class Apple:
    """Of apples."""

    grams: PositiveInt = 300  # weight of the filling


BAKE = Command(
    module="bake",
    config_name="bake",
    about="Bake a cake.",
    schemas={"bake_schema": Bake, "filling/apple_schema": Apple},
)


@pytest.fixture
def bakery(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration folder of the test's own, with one group of two files."""
    (tmp_path / "bake.yaml").write_text("defaults:\n  - bake_schema\n  - filling: apple\n  - _self_\n")
    (tmp_path / "filling").mkdir()
    (tmp_path / "filling" / "apple.yaml").write_text("defaults:\n  - apple_schema\n  - _self_\n")
    (tmp_path / "filling" / "plum.yaml").write_text("grams: 250\nstoned: true\n")
    for module in (cli, command):
        monkeypatch.setattr(module, "CONFIGS", tmp_path)
    return tmp_path


def checked(request: Request) -> int:
    """Parse and check as the sweep does, and do nothing more."""
    sweep_of(request)
    return 0


def leaves(node: dict[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key that has a value of its own."""
    for name, value in node.items():
        if isinstance(value, dict):
            yield from leaves(value, f"{at}{name}.")
        else:
            yield f"{at}{name}", value


def complaint(
    capsys: pytest.CaptureFixture[str], arguments: Sequence[str], main: Callable[[Request], int] = checked
) -> str:
    """The one line that wrong input of the sweep's command is answered with."""
    code = run(COMMAND, main, arguments)
    out, err = capsys.readouterr()
    assert code == WRONG_INPUT
    assert out == ""
    assert err.startswith("error: ")
    assert err.endswith("\n")
    assert err.count("\n") == 1
    return err


def tune(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The sweep's command as a user starts it."""
    return subprocess.run(
        [sys.executable, "-m", "platform.tune", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.usefixtures("bakery")
def test_without_overrides_the_schema_is_unchanged() -> None:
    request = parse(BAKE, [])
    expected = {**plain(Bake()), "filling": {"grams": 300}}
    assert request == Request(expected, (), (), {"filling": "apple"})


@pytest.mark.usefixtures("bakery")
def test_overrides_replace_values_and_are_remembered() -> None:
    request = parse(BAKE, ["oven.celsius=200", "name='two words'"])
    assert request.config["oven"] == {"celsius": 200, "fan": False}
    assert request.config["name"] == "two words"
    assert request.given == ("oven.celsius", "name")


@pytest.mark.usefixtures("bakery")
def test_a_group_has_its_own_keys() -> None:
    request = parse(BAKE, ["filling=plum", "filling.stoned=false"])
    assert request.config["filling"] == {"grams": 250, "stoned": False}
    assert request.choices == {"filling": "plum"}
    with pytest.raises(ConfigError, match=r"unknown key filling\.stoned;"):
        parse(BAKE, ["filling.stoned=false"])


@pytest.mark.usefixtures("bakery")
def test_an_unknown_file_of_a_group_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(BAKE, lambda _: 0, ["filling=pear"]) == WRONG_INPUT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert all(word in err for word in ("filling", "apple", "plum", "pear"))


@pytest.fixture
def presets(bakery: Path) -> Command:
    """A command with two files of its own in a folder, beside one of another command's."""
    folder = bakery / "cakes"
    folder.mkdir()
    for name, schema in (("slow", "cake_schema"), ("quick", "cake_schema"), ("bread", "bread_schema")):
        text = f"# @package _global_\ndefaults:\n  - {schema}@_global_\n  - _self_\nminutes: {len(name)}\n"
        (folder / f"{name}.yaml").write_text(text)
    return Command("bake", "cakes/slow", "Bake a cake.", {"cakes/cake_schema": Bake}, preset_key="recipe")


def test_a_preset_is_a_file_beside_the_default_one(presets: Command) -> None:
    assert parse(presets, []).config == parse(presets, ["recipe=slow"]).config
    request = parse(presets, ["recipe=quick", "oven.celsius=200"])
    assert request.config == {"minutes": 5, "oven": {"celsius": 200, "fan": False}, "name": "cake"}
    assert request.given == ("oven.celsius",)
    assert parse(presets, ["recipe=quick", "recipe=bread", "recipe=slow"]).config["minutes"] == 4


def test_wrong_keys_beside_a_preset_are_named(presets: Command) -> None:
    with pytest.raises(ConfigError, match="did you mean `minutes`"):
        parse(presets, ["recipe=quick", "minuts=3"])


@pytest.mark.parametrize("name", ["bread", "pie", "../bake", "", "[quick]"])
def test_a_preset_that_is_none_of_the_commands_names_those_that_are(
    capsys: pytest.CaptureFixture[str], presets: Command, name: str
) -> None:
    assert run(presets, lambda _: 0, [f"recipe={name}"]) == WRONG_INPUT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert f"expected `recipe` in {{quick, slow}}, but got recipe={name}" in err


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize("override", ["minutes=interval(1,2)", "minutes=1,2", "name=choice(a,b)", "minutes=range(1,3)"])
def test_a_command_without_sweeps_takes_one_value_per_key(override: str) -> None:
    with pytest.raises(ConfigError, match="expected one value per key") as exc_info:
        parse(BAKE, [override])
    assert override in str(exc_info.value)


@dataclass(frozen=True)
class Slice:
    """How a cake is cut."""

    cake: str = ""  # which one
    pieces: PositiveInt = 8  # how many
    knife: Oven = field(default_factory=Oven)  # a hot one


@pytest.fixture
def slicing(bakery: Path) -> Command:
    """A command with a verb of keys and an argument of its own, beside one without."""
    (bakery / "slice.yaml").write_text("defaults:\n  - slice_schema\n  - _self_\n")
    own = Command("bake slice", "slice", "Cut a cake.", {"slice_schema": Slice}, argument="cake")
    return replace(BAKE, verbs={"taste": "try it", "slice": "cut it"}, own={"slice": own})


def requested(command: Command, *arguments: str) -> Request:
    """Return the request of a command line that is accepted."""
    requests: list[Request] = []

    def keep(request: Request) -> int:
        requests.append(request)
        return 0

    assert run(command, keep, arguments) == 0
    return requests[0]


@pytest.mark.parametrize(
    ("words", "cake", "pieces"),
    [
        (["plum"], "plum", 8),
        (["plum", "pieces=3"], "plum", 3),
        (["pieces=3", "plum"], "plum", 3),
        (["cake=plum"], "plum", 8),
        (["it's, a $cake (of {plums}) *?[ab]/**"], "it's, a $cake (of {plums}) *?[ab]/**", 8),
        (["user=7/plum.csv"], "user=7/plum.csv", 8),
        (["pieces=3", "user=7/plum.csv", "knife.celsius=90"], "user=7/plum.csv", 3),
        (["./pieces=3"], "./pieces=3", 8),
        (["slice"], "slice", 8),
        (["pieces"], "pieces", 8),
        (["12"], "12", 8),
        (["null"], "null", 8),
        ([], "", 8),
    ],
)
def test_a_word_without_a_key_is_the_argument_as_it_stands(
    words: list[str], cake: str, pieces: int, slicing: Command
) -> None:
    request = requested(slicing, "slice", *words)
    assert (request.verb, request.config["cake"], request.config["pieces"]) == ("slice", cake, pieces)
    assert build(Slice, request.config).cake == cake
    assert ("cake" in request.given) == bool(cake)


def test_a_verb_without_keys_of_its_own_has_those_of_the_command(slicing: Command) -> None:
    request = requested(slicing, "taste", "minutes=3")
    assert (request.verb, request.config["minutes"]) == ("taste", 3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["slice", "a", "b"], "expected one `cake`, but got a and b; put quotes around a glob"),
        (["slice", "a=1", "b"], "unknown key a; "),
        (["slice", "plum", "cake=pie"], "expected one `cake`, but got plum and cake=pie; leave one of them out"),
        (["slice", "plum", "piece=3"], "unknown key piece; did you mean `pieces`?"),
        (["slice", "piece=3"], "unknown key piece; did you mean `pieces`?"),
        (["slice", "minutes=3", "plum"], "unknown key minutes; "),
        (["slice", "--plan"], "unknown option --plan; known: --help"),
        (["taste", "plum"], "expected an override key=value or one of taste, slice, but got plum"),
        (["taste", "slice"], "expected one verb, but got taste slice"),
        (["plum", "slice"], "expected an override key=value or one of taste, slice, but got plum"),
    ],
)
def test_wrong_words_after_a_verb_are_one_line(
    words: list[str], message: str, slicing: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(slicing, lambda _: 0, words) == WRONG_INPUT
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_help_and_configuration_of_a_verb_are_its_own(slicing: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(slicing, lambda _: 1, ["slice", "--help"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: python -m bake slice CAKE [--help] [--cfg job] [key=value ...]\n\nCut a cake.")
    assert "pieces=8" in text
    assert "minutes" not in text
    assert run(slicing, lambda _: 1, ["slice", "plum=1", "--cfg", "job"]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["cake"] == "plum=1"


@pytest.mark.usefixtures("bakery")
def test_distributions_are_passed_on_and_change_no_value() -> None:
    sweeping = Command(BAKE.module, BAKE.config_name, BAKE.about, BAKE.schemas, sweeps=True)
    request = parse(sweeping, ["minutes=range(10,60)", "name=pie"])
    assert [law.input_line for law in request.laws] == ["minutes=range(10,60)"]
    assert (request.config["minutes"], request.config["name"]) == (30, "pie")
    assert request.given == ("name",)


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize("code", [0, 1, 7])
def test_the_exit_code_is_what_main_returns(code: int) -> None:
    assert run(BAKE, lambda _: code, []) == code


@pytest.mark.usefixtures("bakery")
def test_an_interrupt_is_reported_and_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted(request: Request) -> int:
        raise KeyboardInterrupt

    assert run(BAKE, interrupted, []) == INTERRUPTED
    assert capsys.readouterr().err.startswith("interrupted")


@pytest.mark.usefixtures("bakery")
def test_the_users_errors_are_one_line_however_long(capsys: pytest.CaptureFixture[str]) -> None:
    def refuse(request: Request) -> int:
        raise ConfigError("expected `a < b`,\n  but got\ta=2, b=1")

    assert run(BAKE, refuse, []) == WRONG_INPUT
    assert capsys.readouterr().err == "error: expected `a < b`, but got a=2, b=1\n"


class BurntError(RuntimeError):
    """Work of ours that failed, and no bug."""


BurntError.__module__ = "trainables.bake"


@pytest.mark.usefixtures("bakery")
def test_failed_work_is_one_line_and_has_its_own_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    def burn(request: Request) -> int:
        raise BurntError("the cake is black; lower oven.celsius")

    assert run(BAKE, burn, []) == FAILED
    assert capsys.readouterr().err == "error: the cake is black; lower oven.celsius\n"


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize("error", [ValueError("of a library"), RuntimeError("of ours"), KeyError("missing")])
def test_a_bug_is_no_users_error(error: Exception) -> None:
    def broken(request: Request) -> int:
        raise error

    with pytest.raises(type(error), match=str(error.args[0])):
        run(BAKE, broken, [])


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_prints_usage_description_and_every_key(capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert run(BAKE, lambda _: 1, [option]) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: python -m bake ")
    words = ("Bake a cake.", "minutes=30", "oven.celsius=180.0", "filling=apple", "filling.grams=300")
    assert [word for word in words if word not in out] == []
    assert err == ""


@pytest.mark.usefixtures("bakery")
@pytest.mark.parametrize("arguments", [["--cfg", "job", "minutes=5"], ["minutes=5", "-c", "job"]])
def test_cfg_job_prints_what_would_run(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    assert run(BAKE, lambda _: 1, arguments) == 0
    assert yaml.safe_load(capsys.readouterr().out) == parse(BAKE, ["minutes=5"]).config


WRONG: dict[str, tuple[str, ...]] = {
    "trainable.contrastive.wieght=1": ("trainable.contrastive.wieght", "did you mean `trainable.contrastive.weight`?"),
    "budgt.trials=3": ("budgt.trials", "did you mean `budget.trials`?"),
    "trainable.contrastive.wieght=interval(0,1)": ("did you mean `trainable.contrastive.weight`?",),
    "quux=1": ("unknown key quux", "--cfg job"),
    "+budget.trials=1": ("expected a new key, but got +budget.trials=1", "leave out the +"),
    "budget.trials@quux=1": ("expected a key without a package, but got budget.trials@quux=1", "leave out @quux"),
    "+trainable.quux=1": ("trainable.quux", "known keys: seed"),
    "trainable.epochs=abc": ("expected `trainable.epochs` to be an int, but got trainable.epochs=abc",),
    "trainable.epochs=3.7": ("expected `trainable.epochs` to be an int, but got trainable.epochs=3.7",),
    "trainable.optim.lr=fast": ("expected `trainable.optim.lr` to be a float, but got trainable.optim.lr=fast",),
    "seed=null": ("expected `seed` to be an int, but got seed=null",),
    "budget.trials=0": ("budget", "`trials >= 1`", "trials=0"),
    "budget.time_limit=20": ("time_limit=20", "unit s, m, h or d", "20m"),
    "budget.time_limit=-5m": ("time_limit=-5m", "unit s, m, h or d"),
    "budget.time_limit=0s": ("`time_limit` to be a number above 0 with a unit", "time_limit=0s"),
    "budget.concurrent=-1": ("budget", "`concurrent >= 0`", "concurrent=-1"),
    "scheduler.grace_epochs=0": ("scheduler", "`grace_epochs >= 1`", "grace_epochs=0"),
    "scheduler.reduction_factor=1": ("scheduler", "`1 < reduction_factor < inf`", "reduction_factor=1"),
    "scaling.num_workers=-1": ("scaling", "`num_workers >= 0`", "num_workers=-1"),
    "trainable.contrastive.temperature=0": ("trainable.contrastive", "`0 < temperature < inf`", "temperature=0"),
    "trainable.contrastive.weight=nan": ("trainable.contrastive", "`0 <= weight < inf`", "weight=nan"),
    "trainable.augmentation.alpha=11": ("trainable.augmentation", "`0 <= alpha <= 10`", "alpha=11"),
    "space=quux": (
        "`space` in {agent, cotraining, critic, detector, diffusion, diffusion_ranking_loss, distill, gan, physical}",
        "space=quux",
    ),
    "sampler=quux": ("`sampler` in {gp, grid, nsga2, qmc, random, tpe}", "sampler=quux"),
    "trainable=quux": ("trainable", "quux", "diffusion"),
    "study_name=a/b": ("`study_name`", "a/b"),
    "trainable.epochs": ("trainable.epochs", "key=value"),
    "trainable.epochs=[1": ("trainable.epochs=[1", "key=value"),
    "two words": ("two words", "key=value"),
    "--verbose": ("--verbose", "--help", "--cfg job"),
    "--cfg=job": ("--cfg=job", "--cfg job"),
    "job": ("job", "--cfg job"),
    "seed=choice(1,2)": ("seed", "`trainable.`", "seed=choice(1,2)"),
    "budget.trials=1,2": ("budget.trials", "`trainable.`", "budget.trials=1,2"),
    "trainable.optim.lr=interval(1,0)": ("trainable.optim.lr=interval(1,0)", "low <= high"),
    "trainable.optim.lr=interval(1)": ("trainable.optim.lr=interval(1)", "end"),
    "budget.wall=20m": ("`budget.wall` was renamed: use budget.time_limit=20m",),
    "budget.reserve=1GB": ("`budget.reserve` was renamed: use budget.min_free_disk=1GB",),
    "finalists.noise=2": ("`finalists.noise` was renamed: use finalists.eval_seeds=2",),
    "finalists.repeats=2": ("`finalists.repeats` was renamed: use finalists.retrain_seeds=2",),
    "trainable.data.sequence_length=200": ("use trainable.data.canonical.sequence_length=200",),
    "data.sequence_length=200": ("use trainable.data.canonical.sequence_length=200",),
    "optim.epochs=3": ("`optim.epochs` was renamed: use trainable.epochs=3",),
    "trainable.model.cond_dim=4": ("`trainable.model.cond_dim` is no key", "diffusion.condition_dropout"),
    "min_snr_weight=true": ("`min_snr_weight` is no key", "diffusion.min_snr_gamma=5"),
    "+trainable.judgement.fpr=0.1": ("`trainable.judgement` was renamed: use trainable.evaluation",),
    "trainable.optim.lr=quux(1)": ("trainable.optim.lr=quux(1)", "interval"),
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_input_is_one_line_that_names_it(capsys: pytest.CaptureFixture[str], override: str) -> None:
    line = complaint(capsys, [override])
    assert [part for part in WRONG[override] if part not in line] == []


@pytest.mark.parametrize("override", ["=3", "~trainable.seed", "~trainable=diffusion"])
def test_an_override_without_a_key_or_a_value_is_refused(capsys: pytest.CaptureFixture[str], override: str) -> None:
    line = complaint(capsys, [override])
    assert override in line
    assert "key=value" in line


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("finalists", "3"),
        ("trainable.model", "null"),
        ("trainable.contrastive", "choice(1,2)"),
        ("trainable.contrastive", "{weight: 0.1}"),
    ],
)
def test_a_group_of_keys_takes_no_value(capsys: pytest.CaptureFixture[str], key: str, value: str) -> None:
    assert f"the group of keys {key};" in complaint(capsys, [f"{key}={value}"])


def test_a_group_of_keys_with_presets_takes_one_of_them_or_a_value_of_a_key(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = complaint(capsys, ["budget=3"])
    assert "expected `budget` in {overnight, quick, standard}, but got budget=3; " in line
    assert "as budget.KEY=value" in line


def test_one_wrong_override_among_right_ones_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    assert "trials=0" in complaint(capsys, ["seed=1", "trainable.optim.lr=interval(1e-6,1)", "budget.trials=0"])


def test_the_sweeps_help_and_configuration_hold_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(COMMAND, checked, ["--help"]) == 0
    text = capsys.readouterr().out
    assert run(COMMAND, checked, ["--cfg", "job"]) == 0
    config: dict[str, Any] = yaml.safe_load(capsys.readouterr().out)
    assert text.startswith("usage: python -m platform.tune ")
    assert [key for key, value in leaves(config) if f"  {key}={written(value)}" not in text] == []
    assert build(TuneConfig, {key: value for key, value in config.items() if key != "trainable"}) == TuneConfig()


def test_a_process_ends_with_code_2_and_one_line() -> None:
    done = tune("trainable.contrastive.wieght=1")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (WRONG_INPUT, "", 1)
    assert "unknown key trainable.contrastive.wieght; did you mean" in done.stderr


def test_a_process_prints_its_configuration() -> None:
    done = tune("--cfg", "job", "trainable.optim.lr=3e-4")
    assert (done.returncode, done.stderr) == (0, "")
    assert yaml.safe_load(done.stdout)["trainable"]["optim"]["lr"] == 3e-4
