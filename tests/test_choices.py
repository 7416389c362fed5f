"""The names of choices, which configurations check without importing what is chosen, are the keys of those dicts."""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path

import pytest

from platform.study.samplers import SAMPLERS as STUDY_SAMPLERS
from trainables.augmentation.generators import GENERATORS
from trainables.contrastive.negatives import SOURCES
from trainables.contrastive.ranking import NORMALISATIONS, RANKING_LOSSES
from trainables.critic.agent.learners import LEARNERS
from trainables.critic.agent.modes import MODES
from trainables.critic.agent.sac import REWARDS
from trainables.critic.environment.layouts import LAYOUTS
from trainables.critic.losses import LOSSES
from trainables.critic.similarity import SIMILARITIES
from trainables.data.frames import FRAMES
from trainables.data.readers.recordings import READERS
from trainables.data.readers.times import MS_PER_UNIT
from trainables.data.representation import REPRESENTATIONS
from trainables.detector.bots import FAMILIES
from trainables.diffusion.noise.schedule import PREDICTIONS, SCHEDULES
from trainables.diffusion.noise.times import TIMES
from trainables.diffusion.sample_files import FORMATS
from trainables.diffusion.samplers import SAMPLERS, SPACINGS
from trainables.diffusion.sampling_config import QUALITIES
from trainables.distillation.objective import WEIGHTINGS
from trainables.eval.generation.report import METRICS
from trainables.eval.metrics import PROBES
from trainables.physical.forms import FORMS as STROKE_FORMS

CHOICES: dict[str, Iterable[str]] = {
    "platform.study.config.SAMPLER_NAMES": STUDY_SAMPLERS,
    "trainables.critic.agent.config.ALGORITHM_NAMES": LEARNERS,
    "trainables.critic.agent.config.MODE_NAMES": MODES,
    "trainables.critic.agent.config.REWARD_NAMES": REWARDS,
    "trainables.critic.environment.config.LAYOUT_NAMES": LAYOUTS,
    "trainables.critic.config.LOSS_NAMES": LOSSES,
    "trainables.critic.config.SIMILARITY_NAMES": SIMILARITIES,
    "trainables.data.config.FORMS": REPRESENTATIONS,
    "trainables.data.config.FRAME_NAMES": FRAMES,
    "trainables.data.config.SOURCE_NAMES": READERS,
    "trainables.data.config.TIME_UNIT_NAMES": MS_PER_UNIT,
    "trainables.detector.config.FAMILY_NAMES": FAMILIES,
    "trainables.diffusion.noise.config.PREDICTION_NAMES": PREDICTIONS,
    "trainables.diffusion.noise.config.SCHEDULE_NAMES": SCHEDULES,
    "trainables.diffusion.noise.config.TIMES_NAMES": TIMES,
    "trainables.diffusion.ranking_config.LOSS_NAMES": RANKING_LOSSES,
    "trainables.diffusion.ranking_config.NORMALISATION_NAMES": NORMALISATIONS,
    "trainables.diffusion.ranking_config.SOURCE_NAMES": SOURCES,
    "trainables.diffusion.sampling_config.FORMAT_NAMES": FORMATS,
    "trainables.diffusion.sampling_config.SAMPLER_NAMES": SAMPLERS,
    "trainables.diffusion.sampling_config.SPACING_NAMES": SPACINGS,
    "trainables.diffusion.sampling_config.QUALITY_NAMES": QUALITIES,
    "trainables.distillation.config.WEIGHTING_NAMES": WEIGHTINGS,
    "trainables.eval.generation.config.METRIC_NAMES": METRICS,
    "trainables.eval.generation.config.PROBE_NAMES": PROBES,
    "trainables.augmentation.config.GENERATOR_NAMES": GENERATORS,
    "trainables.physical.config.FORM_NAMES": STROKE_FORMS,
}
"""Where the names of a choice stand -> what is chosen."""
ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("place", CHOICES)
def test_the_names_of_a_choice_are_those_of_what_is_chosen(place: str) -> None:
    module, _, name = place.rpartition(".")
    assert list(getattr(import_module(module), name)) == list(CHOICES[place])


def test_every_choice_of_a_configuration_is_compared() -> None:
    found = {
        f"{file.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}.{name}"
        for package in ("platform", "trainables")
        for file in ROOT.glob(f"{package}/**/*config.py")
        for name in (line.split(" = ")[0] for line in file.read_text().splitlines())
        if name.isupper() and name.endswith("_NAMES")
    }
    assert found - {"trainables.data.config.CONDITION_NAMES"} == set(CHOICES) - {"trainables.data.config.FORMS"}
