"""A detector's configuration: one kind of balance, sources with their paths, families held out entirely."""

import math
from dataclasses import replace
from typing import Any

import pytest

from tests.trainables.detector.tiny import TINY
from trainables.core.config import ConfigError, build, plain
from trainables.detector.bots import FAMILIES
from trainables.detector.config import SOURCES, DetectorConfig, NegativesConfig


def refusal(**negatives: Any) -> str:
    """Return the one-line error for these negatives."""
    with pytest.raises(ConfigError) as exc_info:
        build(DetectorConfig, {"negatives": negatives}, at="trainable")
    assert "\n" not in str(exc_info.value)
    assert str(exc_info.value).startswith("trainable.negatives: ")
    return str(exc_info.value)


@pytest.mark.parametrize("config", [DetectorConfig(), replace(TINY, negatives=NegativesConfig(None, 0.3, ()))])
def test_a_configuration_is_restored_from_its_plain_form(config: DetectorConfig) -> None:
    assert build(DetectorConfig, plain(config)) == config


# the balance


def test_exactly_one_of_count_and_weight_is_set() -> None:
    law = "trainable.negatives: expected `alpha` or `weight`, one of the two, but got"
    remedy = "both would scale the generated part twice"
    assert refusal(weight=0.5) == f"{law} alpha=1.0, weight=0.5; {remedy}"
    assert refusal(alpha=None) == f"{law} alpha=None, weight=None; {remedy}"
    assert refusal(alpha=0.1, weight=0.1) == f"{law} alpha=0.1, weight=0.1; {remedy}"
    assert build(NegativesConfig, {"alpha": None, "weight": 0.1}).weight == 0.1
    assert build(NegativesConfig, {"alpha": 0.1}).alpha == 0.1


@pytest.mark.parametrize("value", [0.0, -0.5, float("nan"), float("inf"), 11.0])
def test_a_balance_out_of_its_bounds_is_refused(value: float) -> None:
    assert f"expected `0 < alpha <= 10`, but got alpha={value}" in refusal(alpha=value)
    assert f"expected `0 < weight <= 1`, but got weight={value}" in refusal(alpha=None, weight=value)


# sources


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("share", [-0.1, float("nan"), float("inf")])
def test_an_invalid_share_is_refused(source: str, share: float) -> None:
    assert f"expected `0 <= {source} < inf`, but got {source}={share}" in refusal(**{source: share})


def test_a_positive_share_is_required() -> None:
    assert "expected `sum of the shares > 0`" in refusal(bots=0.0)


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("gan", "gan_checkpoint"),
        ("diffusion", "diffusion_checkpoint"),
        ("physical", "physical_checkpoint"),
        ("served", "served_folder"),
        ("agent", "agent_checkpoint"),
    ],
)
def test_a_source_with_a_share_needs_its_path(source: str, key: str) -> None:
    assert refusal(**{source: 0.5}).endswith(f"expected `{key}` with `{source} > 0`, but got {source}=0.5")
    config = build(NegativesConfig, {"bots": 0.0, source: 0.5, key: "somewhere"})
    assert config.shares == {**dict.fromkeys(SOURCES, 0.0), source: 0.5}
    assert build(NegativesConfig, {key: "somewhere"}).shares[source] == 0.0


# families


@pytest.mark.parametrize("held_out", [(), ("pid",), ("windmouse", "lognormal"), tuple(FAMILIES)[1:]])
def test_the_training_families_are_those_not_held_out(held_out: tuple[str, ...]) -> None:
    config = NegativesConfig(held_out=held_out)
    assert set(config.families) == set(FAMILIES) - set(held_out)
    assert len(config.families) + len(held_out) == len(FAMILIES)


def test_held_out_names_existing_families_once() -> None:
    assert "held_out=windmousse" in refusal(held_out=["windmousse"])
    assert "held_out=straight_eased" in refusal(held_out=["straight_eased"])  # a style holds out its family
    assert refusal(held_out=["pid", "spline", "pid"]).endswith(
        "expected `held_out` to name each entry once, but got held_out=[pid, spline, pid]"
    )


def test_scripted_bots_need_a_family_and_other_sources_do_not() -> None:
    everything: dict[str, Any] = {"held_out": list(FAMILIES)}
    assert refusal(**everything).endswith("expected `families to train on` with `bots > 0`, but got all are held out")
    assert build(NegativesConfig, {**everything, "bots": 0.0, "gan": 1.0, "gan_checkpoint": "x"}).families == ()


# everything else


@pytest.mark.parametrize(
    ("key", "value", "law"),
    [
        ("epochs", 0, "`epochs >= 1`"),
        ("steps_per_epoch", 0, "`steps_per_epoch >= 1`"),
        ("batch_size", 3, "`batch_size >= 4`"),
        ("model", {"width": 1}, "`width >= 2`"),
        ("model", {"features_width": 1}, "`features_width >= 2`"),
        ("model", {"fused_width": 1}, "`fused_width >= 2`"),
        ("model", {"embedding_dim": 1}, "`embedding_dim >= 2`"),
        ("model", {"dropout": 1.0}, "`0 <= dropout < 1`"),
        ("model", {"drop_part": 1.0}, "`0 <= drop_part < 1`"),
        ("model", {"deep_bound": 0.0}, "`0 < deep_bound < inf`"),
        ("model", {"reach": math.inf}, "`reach` to be finite"),
        ("loss", {"task_weight": -0.1}, "`0 <= task_weight < inf`"),
        ("loss", {"embodiment_weight": float("nan")}, "`0 <= embodiment_weight < inf`"),
        ("loss", {"club_weight": float("inf")}, "`0 <= club_weight < inf`"),
        ("loss", {"temperature": 0.0}, "`0 < temperature < inf`"),
        ("loss", {"club_lr": 0.0}, "`0 < club_lr < inf`"),
        ("loss", {"club_steps": 0}, "`club_steps >= 1`"),
        ("optim", {"lr": 0.0}, "`0 < lr < inf`"),
        ("optim", {"weight_decay": -1.0}, "`0 <= weight_decay < inf`"),
        ("optim", {"warmup_steps": -1}, "`warmup_steps >= 0`"),
        ("optim", {"final_lr_share": 1.5}, "`0 <= final_lr_share <= 1`"),
        ("optim", {"grad_clip": 0.0}, "`0 < grad_clip < inf`"),
        ("optim", {"ema_decay": 1.0}, "`0 <= ema_decay < 1`"),
        ("evaluation", {"fpr": 0.0}, "`0 < fpr < 1`"),
        ("evaluation", {"fpr": 1.0}, "`0 < fpr < 1`"),
    ],
)
def test_a_value_out_of_its_bounds_is_refused(key: str, value: Any, law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(DetectorConfig, {key: value}, at="trainable")
    assert law in str(exc_info.value)
    assert "\n" not in str(exc_info.value)
