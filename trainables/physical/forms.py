"""The forms of strokes by name."""

from trainables.physical.lognormal_strokes import SIGMA_LOGNORMAL
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.submovements import MINIMUM_JERK

FORMS: dict[str, StrokeForm] = {"sigma_lognormal": SIGMA_LOGNORMAL, "minimum_jerk": MINIMUM_JERK}
