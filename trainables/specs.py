"""The one list of trainables, by name; none of them is imported further than its configuration."""

from trainables.cotraining.spec import SPEC as COTRAINING
from trainables.critic.agent.spec import SPEC as AGENT
from trainables.critic.spec import SPEC as CRITIC
from trainables.detector.spec import SPEC as DETECTOR
from trainables.diffusion.spec import SPEC as DIFFUSION
from trainables.distillation.spec import SPEC as DISTILL
from trainables.gan.spec import SPEC as GAN
from trainables.physical.spec import SPEC as PHYSICAL
from trainables.training.trainable import TrainableSpec

SPECS = (DIFFUSION, GAN, PHYSICAL, COTRAINING, DISTILL, DETECTOR, CRITIC, AGENT)
TRAINABLES: dict[str, TrainableSpec] = {spec.name: spec for spec in SPECS}


def described() -> str:
    """Return a line per trainable for the help of a command."""
    width = max(map(len, TRAINABLES))
    return "\n".join(f"  trainable={name:<{width}}  {spec.about}" for name, spec in TRAINABLES.items())
