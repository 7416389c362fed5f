"""The notes of an epoch name the model, its movements with their balance, both headlines and both decisions."""

from trainables.cotraining.epoch_notes import epoch_notes
from trainables.training import metric_names as names

HEADLINES = {names.headline_of("diffusion"): 0.31, names.headline_of("physical"): 0.1}
COUNTS = {names.TRAIN_REAL: 1513.0, names.TRAIN_GENERATED: 151.0}
FITTED = {names.TRAIN_PATH_SNR: 40.0}
BOTH = "AUC excess: diffusion 0.310, physical model 0.100"


def test_the_untrained_models_have_none() -> None:
    assert epoch_notes(HEADLINES) == ()


def test_the_warm_up_names_the_model() -> None:
    warm = {names.COTRAINING_CYCLE: 0.0, **HEADLINES}
    assert epoch_notes(warm) == (f"warm-up: diffusion trained on real movements; {BOTH}",)
    assert epoch_notes({**warm, **FITTED}) == (f"warm-up: physical model fitted to real movements; {BOTH}",)


def test_the_end_of_a_cycle_has_balance_and_decisions() -> None:
    decided = {
        names.cycle_metric("diffusion", "kept"): 0.0,
        names.cycle_metric("diffusion", "improvement"): 0.012,
        names.cycle_metric("diffusion", "improvement_low"): -0.0304,
        names.cycle_metric("physical", "kept"): 1.0,
    }
    assert epoch_notes({names.COTRAINING_CYCLE: 2.0, **COUNTS, **FITTED, **HEADLINES, **decided}) == (
        f"cycle 2: physical model fitted to 1,513 real + 151 generated movements, ratio 0.0998; {BOTH}",
        "cycle 2: diffusion reverted, improvement of the AUC excess 0.012, lower bound -0.030",
        "cycle 2: physical model kept, without a comparison",
    )
