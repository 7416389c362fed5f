"""Overrides of a sweep: distributions in Hydra's grammar, fixed and added keys, and refused ones."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from ray.tune.schedulers import AsyncHyperBandScheduler

from platform.study import search_space
from platform.study.config import SPACE_TRAINABLES, BudgetConfig, FinalistsConfig, SchedulerConfig, TuneConfig
from platform.study.search_space import bounds, parse_distribution, sweep_of, value_at
from platform.study.sweep import Sweep
from platform.tune import COMMAND
from search_spaces import SPACES, Space
from trainables.core.cli import parse
from trainables.core.config import ConfigError
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD, VAL_RECALL

DIFFUSION = SPACES["diffusion"]


def test_the_choices_of_a_space_are_the_spaces_with_their_trainables() -> None:
    assert {name: space.trainable for name, space in SPACES.items()} == SPACE_TRAINABLES


def law(text: str) -> BaseDistribution:
    """The law of one override, parsed as the command line is."""
    return parse_distribution(OverridesParser.create().parse_override(f"trainable.key={text}"))


def sweep(*overrides: str) -> Sweep:
    """The checked sweep of a command line."""
    return sweep_of(parse(COMMAND, overrides))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("interval(0,1)", FloatDistribution(0.0, 1.0)),
        ("interval(-2.5,1e3)", FloatDistribution(-2.5, 1000.0)),
        ("tag(log,interval(1e-4,1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("choice(a,b)", CategoricalDistribution(("a", "b"))),
        ("choice('two words',b)", CategoricalDistribution(("two words", "b"))),
        ("choice(32,48.5,true)", CategoricalDistribution((32, 48.5, True))),
        ("64,32", CategoricalDistribution((64, 32))),
        ("range(1,9)", IntDistribution(1, 8)),
        ("range(1,9,2)", IntDistribution(1, 7, step=2)),
        ("range(4)", IntDistribution(0, 3)),
    ],
)
def test_hydras_grammar_gives_distributions(text: str, expected: BaseDistribution) -> None:
    assert law(text) == expected
    assert [type(end) for end in bounds(law(text))] == [type(end) for end in bounds(expected)]


def test_a_range_holds_what_pythons_range_holds() -> None:
    for start in (-3, 0, 2):
        for stop in range(start + 1, start + 9):
            for step in (1, 2, 3, 5):
                got = law(f"range({start},{stop},{step})")
                assert isinstance(got, IntDistribution)
                assert [*range(got.low, got.high + 1, got.step)] == [*range(start, stop, step)]


@pytest.mark.parametrize(
    "text",
    [
        "interval(1,0)",
        "interval(0,inf)",
        "interval(nan,1)",
        "tag(log,interval(0,1))",
        "tag(lgo,interval(1,2))",
        "tag(log,choice(1,2))",
        "tag(log,range(1,9))",
        "range(9,1)",
        "range(1,9,0)",
        "range(9,1,-2)",
        "range(0.5,3)",
        "glob(*)",
    ],
)
def test_invalid_distributions_are_one_line_with_the_override(text: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        law(text)
    assert f"trainable.key={text}" in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_without_overrides_the_space_is_unchanged() -> None:
    plain = sweep()
    assert plain.space == DIFFUSION
    assert plain.fixed == ()
    assert plain.settings == TuneConfig(space="diffusion", study_name="diffusion")
    assert plain.epochs == plain.trainable["epochs"]


def test_a_fixed_key_leaves_the_space_and_its_baselines() -> None:
    fixed = sweep("trainable.model.base_channels=64")
    assert set(fixed.space.parameters) == set(DIFFUSION.parameters) - {"model.base_channels"}
    assert fixed.fixed == ("model.base_channels",)
    assert fixed.trainable["model"]["base_channels"] == 64
    expected = [{k: v for k, v in point.items() if k != "model.base_channels"} for point in DIFFUSION.baselines]
    assert [dict(point) for point in fixed.space.baselines] == expected


def test_a_key_outside_of_the_space_is_set_and_fixes_nothing() -> None:
    longer = sweep("trainable.epochs=20", "budget.trials=3")
    assert longer.space == DIFFUSION
    assert (longer.epochs, longer.settings.budget.trials, longer.fixed) == (20, 3, ())


def test_a_law_on_any_key_adds_it_with_its_value_as_baseline() -> None:
    wider = sweep("trainable.optim.lr=tag(log,interval(1e-6,1))")
    assert wider.space.parameters == {**DIFFUSION.parameters, "optim.lr": FloatDistribution(1e-6, 1.0, log=True)}
    expected = [{**point, "optim.lr": wider.trainable["optim"]["lr"]} for point in DIFFUSION.baselines]
    assert [dict(point) for point in wider.space.baselines] == expected


def test_a_law_on_a_key_of_the_space_replaces_its_law() -> None:
    other = sweep("trainable.contrastive.weight=interval(0,2)")
    assert other.space.parameters["contrastive.weight"] == FloatDistribution(0.0, 2.0)
    assert set(other.space.parameters) == set(DIFFUSION.parameters)
    assert other.fixed == ()


def test_values_in_another_notation_are_checked_as_the_values_that_a_trial_gets() -> None:
    """A trial's configuration turns '16' into 16, and 1 into 1.0."""
    assert set(sweep("trainable.model.base_channels=choice('16','32')").space.parameters) == set(DIFFUSION.parameters)
    sweep("trainable.contrastive.weight=range(0,2)")
    with pytest.raises(ConfigError, match="base_channels"):
        sweep("trainable.model.base_channels=choice('16','0')")


@pytest.mark.parametrize(
    ("overrides", "outside"),
    [
        (["trainable.model.base_channels=choice(32,48)"], {"model.base_channels": 64}),
        (["trainable.contrastive.temperature=interval(2,5)"], {"contrastive.temperature": 1.0}),
        (["trainable.seed=9", "trainable.seed=range(0,9)"], {"seed": 9}),
        (
            ["trainable.model.base_channels=choice(32,48)", "trainable.contrastive.weight=interval(0.1,0.3)"],
            {"contrastive.weight": 0.0, "model.base_channels": 64},
        ),
    ],
)
def test_a_baseline_outside_of_an_overridden_distribution_is_left_out(
    overrides: list[str], outside: dict[str, Any]
) -> None:
    narrowed = sweep(*overrides)
    assert narrowed.left_out == (outside,)
    assert narrowed.space.baselines == ()
    assert set(outside) <= set(narrowed.space.parameters)


def test_baselines_inside_of_a_narrower_law_stay_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    points = tuple({**DIFFUSION.baselines[0], "model.base_channels": width} for width in (48, 64, 32))
    monkeypatch.setitem(SPACES, "diffusion", replace(DIFFUSION, baselines=points))
    narrowed = sweep("trainable.model.base_channels=choice(32,48)")
    assert narrowed.space.baselines == (points[0], points[2])
    assert narrowed.left_out == ({"model.base_channels": 64},)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_leaves_none_of_its_own_baselines_out_and_a_wrong_one_is_an_error(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = SPACES[name]
    request = parse(COMMAND, (f"trainable={space.trainable}", f"space={name}", "trainable.seed=range(0,9)"))
    own = sweep_of(request)
    assert own.left_out == ()
    assert len(own.space.baselines) == len(space.baselines) > 0
    monkeypatch.setattr(
        search_space, "_check_bounds", lambda space, trainable: None
    )  # of the distributions, which stay as they are
    for key, within in space.parameters.items():
        beyond = "elsewhere" if isinstance(within, CategoricalDistribution) else bounds(within)[-1] + 1
        points = tuple({**point, key: beyond} for point in space.baselines)
        monkeypatch.setitem(SPACES, name, replace(space, baselines=points))
        with pytest.raises(
            ConfigError,
            match=rf"expected the distribution of `trainable\.{key}` to include the baseline, but got .*{beyond}",
        ):
            sweep_of(request)


def test_all_keys_fixed_leave_nothing_to_search() -> None:
    everything = [f"trainable.{key}={bounds(law)[0]}" for key, law in DIFFUSION.parameters.items()]
    with pytest.raises(ConfigError, match="expected at least one parameter to search, but got a value for each"):
        sweep(*everything)
    assert len(sweep(*everything[1:]).space.parameters) == 1


def test_keys_of_the_sweep_are_not_keys_of_the_trainable(monkeypatch: pytest.MonkeyPatch) -> None:
    """`seed` is the sampler's; a space that varies the training's seed keeps on doing so."""
    law = IntDistribution(0, 9)
    monkeypatch.setitem(SPACES, "seeds", Space("diffusion", {"seed": law}, ()))
    monkeypatch.setitem(SPACE_TRAINABLES, "seeds", "diffusion")
    assert sweep("space=seeds", "seed=3").space.parameters == {"seed": law}


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["trainable.optim.lr=interval(0,1e-2)"], ("trainable.optim", "`0 < lr < inf`", "lr=0.0")),
        (["trainable.augmentation.alpha=interval(0,11)"], ("trainable.augmentation", "alpha <= 10", "alpha=11.0")),
        (["trainable.model.base_channels=interval(16,64)"], ("trainable.model.base_channels", "16.0", "to be an int")),
        (["trainable.contrastive.loss=choice(infonce,quux)"], ("trainable.contrastive", "`loss` in", "loss=quux")),
        (["trainable.model=interval(0,1)"], ("trainable.model", "group of keys")),
        (["seed=interval(0,1)"], ("seed", "`trainable.`", "seed=interval(0,1)")),
    ],
)
def test_distributions_that_reach_invalid_values_are_refused_before_anything_starts(
    overrides: list[str], parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as exc_info:
        sweep(*overrides)
    assert [part for part in parts if part not in str(exc_info.value)] == []
    assert "\n" not in str(exc_info.value)


def test_constraints_between_keys_are_checked_too() -> None:
    """64 negatives do without a ranking term; with the weights that the space reaches, a batch of 64 is too small."""
    with pytest.raises(ConfigError, match=r"`contrastive\.negatives < batch_size`.*negatives=64"):
        sweep("trainable.contrastive.negatives=choice(1,64)")
    sweep("trainable.contrastive.negatives=choice(1,64)", "trainable.contrastive.weight=0")


@pytest.mark.parametrize(
    ("time_limit", "seconds"), [("90s", 90), ("20m", 1200), ("1.5h", 5400), ("2d", 172800), ("0.5s", 0.5)]
)
def test_time_limit_is_read_with_its_unit(time_limit: str, seconds: float) -> None:
    assert BudgetConfig(time_limit=time_limit).time_limit_s == seconds


@pytest.mark.parametrize("time_limit", ["20", "m", "", "20 m", "-5m", "0s", "1e3s", "5M", "1h30m"])
def test_a_wrong_time_limit_is_named(time_limit: str) -> None:
    got = f"time_limit={time_limit}" if time_limit else "an empty text"
    with pytest.raises(ConfigError, match=f"^expected `time_limit` to be a number above 0 .*, as 20m, but got {got}$"):
        BudgetConfig(time_limit=time_limit)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2GB", 2 * 10**9), ("1.5KB", 1500), ("0.25TB", 25 * 10**10)]
)
def test_sizes_on_disk_are_read_with_their_unit(text: str, size: int) -> None:
    assert BudgetConfig(disk=text).disk_bytes == BudgetConfig(min_free_disk=text).min_free_bytes == size


@pytest.mark.parametrize("text", ["", "10", "GB", "10 GB", "-1GB", "10gb", "10G", "1e3MB", "10GiB", "10GB5MB"])
@pytest.mark.parametrize("key", ["disk", "min_free_disk"])
def test_a_wrong_size_is_one_line_that_names_it_and_gives_an_example(key: str, text: str) -> None:
    wrong: dict[str, Any] = {key: text}
    with pytest.raises(ConfigError) as exc_info:
        BudgetConfig(**wrong)
    got = f"{key}={text}" if text else "an empty text"
    assert all(part in str(exc_info.value) for part in (f"but got {got}", "KB, MB, GB or TB", "as 2", f"`{key}`"))
    assert "\n" not in str(exc_info.value)


def test_a_quota_of_nothing_is_refused_and_a_reserve_of_nothing_is_not() -> None:
    with pytest.raises(
        ConfigError,
        match=r"expected `disk` to be a number above 0 with a unit KB, MB, GB or TB, as 2GB, but got disk=0GB",
    ):
        BudgetConfig(disk="0GB")
    assert BudgetConfig(min_free_disk="0GB").min_free_bytes == 0


@pytest.mark.parametrize(("key", "value"), [("trials", 0), ("concurrent", -1), ("retries", -1)])
def test_a_wrong_budget_is_named(key: str, value: int) -> None:
    wrong: dict[str, Any] = {key: value}
    with pytest.raises(ConfigError, match=f"{key}={value}"):
        BudgetConfig(**wrong)


@pytest.mark.parametrize(
    ("key", "lowest"), [("top", 0), ("eval_seeds", 1), ("retrain_seeds", 0), ("holdout_budget", 0)]
)
def test_the_laws_of_the_finalists(key: str, lowest: int) -> None:
    assert vars(FinalistsConfig(**{key: lowest}))[key] == lowest
    with pytest.raises(ConfigError, match=rf"expected `{key} >= {lowest}`.*{key}={lowest - 1}"):
        FinalistsConfig(**{key: lowest - 1})


def test_the_default_objective_is_the_trainables_and_the_scheduler_compares_it() -> None:
    goal = sweep().goal
    assert [objective.text for objective in goal.objectives] == [VAL_AUC_EXCESS]
    assert (goal.constraints, goal.scheduler_metric, goal.scheduler_mode) == ((), VAL_AUC_EXCESS, "min")
    assert goal.last_epoch == sweep().epochs


def test_objectives_constraints_and_rungs_of_the_command_line() -> None:
    goal = sweep(f"objectives=[{VAL_MMD},{VAL_RECALL}]", "constraints=['val/recall>=0.5','val/auc_excess<=0.2']").goal
    assert [(objective.text, objective.direction) for objective in goal.objectives] == [
        (VAL_MMD, "minimize"),
        (VAL_RECALL, "maximize"),
    ]
    assert [constraint.text for constraint in goal.constraints] == ["val/recall>=0.5", "val/auc_excess<=0.2"]
    assert (goal.scheduler_metric, goal.scheduler_mode) == (VAL_MMD, "min")
    other = sweep(f"objectives=[{VAL_MMD},{VAL_RECALL}]", f"scheduler.metric={VAL_RECALL}").goal
    assert (other.scheduler_metric, other.scheduler_mode) == (VAL_RECALL, "max")


def test_a_weighted_sum_is_compared_at_the_rungs_by_its_first_metric() -> None:
    goal = sweep("objectives=['val/auc_excess+2*val/mmd']").goal
    assert (goal.objectives[0].terms, goal.scheduler_metric) == ({VAL_AUC_EXCESS: 1.0, VAL_MMD: 2.0}, VAL_AUC_EXCESS)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["objectives=[val/auc_exces]"], ("val/auc_exces", "did you mean val/auc_excess?")),
        (["objectives=[val/c2st_excess]"], ("`val/c2st_excess` is no metric any more", "use val/auc_excess")),
        (["constraints=['val/c2st<=0.7']"], ("`val/c2st` is no metric any more", "use val/auc_excess")),
        (["objectives=[val/mmd,val/mmd]"], ("`objectives` to differ from each other", "val/mmd, val/mmd")),
        (["objectives=['val/mmd*2']"], ("`objectives`", "val/mmd*2")),
        (["constraints=['val/recall>0.5']"], ("`constraints`", "val/recall>0.5")),
        (["constraints=['val/rec>=0.5']"], ("val/rec", "did you mean val/recall?")),
        (["objectives=[val/fnr_seen]"], ("`objectives`", "val/fnr_seen", "trainable=diffusion", "val/mmd")),
        (["constraints=['val/fnr_seen<=0.5']"], ("`constraints`", "val/fnr_seen", "trainable=diffusion")),
        (["scheduler.metric=val/fnr_seen"], ("`scheduler.metric`", "val/fnr_seen", "trainable=diffusion")),
        (["storage=sqlite:///"], ("`storage`", "outlives the sweep", "sqlite:///")),
        (["storage='sqlite:///:memory:'"], ("`storage`", "outlives the sweep", ":memory:")),
        (["storage_path='s3://bucket/x'"], ("`storage_path`", "a folder, but got", "s3://bucket/x")),
        (["scheduler.metric=val/nothing"], ("`scheduler.metric`", "val/nothing")),
        (["objectives=[val/mmd]", "scheduler.metric=val/recall"], ("same direction", "val/recall and val/mmd")),
        (["objectives=[val/recall]", "scheduler.metric=val/mmd"], ("same direction", "val/mmd and val/recall")),
        (["sampler=tpee"], ("`sampler`", "sampler=tpee")),
        (["study_name=../else"], ("`study_name`", "../else")),
        (["finalists.eval_seeds=0"], ("finalists", "eval_seeds=0")),
        (["budget.disk=much"], ("budget", "disk=much")),
    ],
)
def test_wrong_settings_are_refused_with_one_line_before_anything_starts(
    overrides: list[str], parts: tuple[str, ...]
) -> None:
    with pytest.raises(ConfigError) as exc_info:
        sweep(*overrides)
    assert [part for part in parts if part not in str(exc_info.value)] == []
    assert "\n" not in str(exc_info.value)


def test_an_objective_that_is_better_when_larger_is_followed_by_a_rung_that_is_too() -> None:
    goal = sweep(f"objectives=[{VAL_RECALL}]").goal
    assert (goal.objectives[0].direction, goal.scheduler_metric, goal.scheduler_mode) == ("maximize", VAL_RECALL, "max")
    assert sweep(f"objectives=[{VAL_AUC_EXCESS}]", f"scheduler.metric={VAL_MMD}").goal.scheduler_metric == VAL_MMD


LOSS, TEMPERATURE, MARGIN = "contrastive.loss", "contrastive.temperature", "contrastive.margin"


@pytest.mark.parametrize(
    ("loss", "ruled_out"), [("infonce", {MARGIN}), ("triplet", {TEMPERATURE}), ("hinge0", {TEMPERATURE, MARGIN})]
)
def test_a_fixed_key_rules_out_what_it_makes_meaningless(loss: str, ruled_out: set[str]) -> None:
    fixed = sweep("space=diffusion_ranking_loss", f"trainable.{LOSS}={loss}")
    assert set(fixed.space.parameters) == set(SPACES["diffusion_ranking_loss"].parameters) - ruled_out - {LOSS}
    assert fixed.space.conditions == {}
    assert fixed.fixed == (LOSS,)


@pytest.mark.parametrize("loss", ["infonce", "triplet", "hinge0"])
def test_baselines_stay_complete_when_a_key_is_fixed(loss: str) -> None:
    """A study evaluates them first: one that lacked a value would be left out."""
    space = sweep("space=diffusion_ranking_loss", f"trainable.{LOSS}={loss}").space
    assert space.baselines
    for point in space.baselines:
        assert set(point) == {key for key in space.parameters if space.active(key, point)}


def test_a_condition_stays_while_its_key_varies() -> None:
    free = sweep("space=diffusion_ranking_loss", "trainable.contrastive.weight=0.1")
    assert free.space.conditions == SPACES["diffusion_ranking_loss"].conditions
    margin = sweep("space=diffusion_ranking_loss", f"trainable.{MARGIN}=0.2")
    assert set(margin.space.conditions) == {TEMPERATURE}


def test_a_distribution_without_a_value_leaves_out_the_baseline_with_it() -> None:
    narrowed = sweep("space=diffusion_ranking_loss", f"trainable.{LOSS}=choice(triplet,hinge0)")
    assert narrowed.left_out == ({LOSS: "infonce"},)
    assert narrowed.space.baselines == ()
    assert narrowed.space.conditions == SPACES["diffusion_ranking_loss"].conditions


@pytest.mark.parametrize("reduction_factor", [1.3, 1.5, 2.0, 2.5, 3.0, 4.0])
@pytest.mark.parametrize("grace", [1, 2, 5])
def test_rungs_are_the_epochs_at_which_ray_compares(grace: int, reduction_factor: float) -> None:
    """A trial reaches a rung with its first whole epoch that is not below it."""
    for epochs in (*range(grace + 1, 40), 81, 100):
        scheduler = AsyncHyperBandScheduler(
            max_t=epochs, grace_period=grace, reduction_factor=reduction_factor, metric="m", mode="min"
        )
        reached = {math.ceil(milestone) for milestone, _ in scheduler._brackets[0]._rungs}
        assert SchedulerConfig(grace, reduction_factor).rungs(epochs) == sorted(reached)


def test_a_grace_that_covers_the_trial_has_no_rungs() -> None:
    assert SchedulerConfig(grace_epochs=5).rungs(5) == []
    assert SchedulerConfig(grace_epochs=5).rungs(6) == [5]


def test_the_folder_of_a_study_is_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert TuneConfig(storage_path="here", study_name="s").folder == tmp_path / "here" / "s"


def test_values_are_stored_under_dotted_keys() -> None:
    nested = {"a": {"b": {"c": 1}}, "d": None}
    assert (value_at(nested, "a.b.c"), value_at(nested, "a.b"), value_at(nested, "d")) == (1, {"c": 1}, None)
    for missing in ("a.x", "a.b.c.d", "d.e", ""):
        with pytest.raises(ConfigError, match=rf"unknown key trainable\.{missing};"):
            value_at(nested, missing)


@pytest.mark.parametrize("name", SPACES)
def test_a_space_implies_its_trainable(name: str) -> None:
    found = sweep(f"space={name}")
    assert found.space.trainable == SPACES[name].trainable
    assert found == sweep(f"trainable={SPACES[name].trainable}", f"space={name}")


def test_the_space_and_the_study_are_named_after_the_trainable_by_default() -> None:
    found = sweep("trainable=gan")
    assert (found.space.trainable, found.settings.space, found.settings.study_name) == ("gan", "gan", "gan")
    assert sweep("trainable=gan", "study_name=mine").settings.study_name == "mine"
    with pytest.raises(ConfigError, match=r"expected `trainable=gan` with `space=gan`, but got trainable=diffusion"):
        sweep("trainable=diffusion", "space=gan")


@pytest.mark.parametrize("key", ["objectives=[{}]", "constraints=['{}<=1']", "scheduler.metric={}"])
@pytest.mark.parametrize(
    ("trainable", "metric"),
    [
        ("diffusion", "val/rms_to_teacher"),
        ("diffusion", "val/fnr_at_fpr_worst_unseen"),
        ("gan", "val/loss"),
        ("physical", "val/loss"),
        ("cotraining", "val/loss"),  # only while the diffusion is the better of both models
        ("distill", "val/loss"),
        ("detector", "val/auc_excess"),
    ],
)
def test_a_metric_that_the_trainable_does_not_report_is_refused(key: str, trainable: str, metric: str) -> None:
    refusal = rf"^expected `{key.partition('=')[0]}` of metrics that trainable={trainable} reports, but got {metric}; "
    with pytest.raises(ConfigError, match=refusal):
        sweep(f"trainable={trainable}", key.format(metric))


@pytest.mark.parametrize(("trainable", "metric"), [("diffusion", "val/loss"), ("distill", "val/rms_to_teacher")])
def test_a_metric_of_its_own_can_be_the_objective(trainable: str, metric: str) -> None:
    assert sweep(f"trainable={trainable}", f"objectives=[{metric}]").goal.scheduler_metric == metric
