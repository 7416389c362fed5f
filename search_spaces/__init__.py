"""Search spaces by name: the parameters that may vary in a sweep, each with its distribution; data, no code."""

from search_spaces.agent import SPACE as AGENT
from search_spaces.cotraining import SPACE as COTRAINING
from search_spaces.critic import SPACE as CRITIC
from search_spaces.detector import SPACE as DETECTOR
from search_spaces.diffusion import SPACE as DIFFUSION
from search_spaces.diffusion_ranking_loss import SPACE as DIFFUSION_RANKING_LOSS
from search_spaces.distill import SPACE as DISTILL
from search_spaces.gan import SPACE as GAN
from search_spaces.physical import SPACE as PHYSICAL
from search_spaces.space import Condition, Space

__all__ = ["SPACES", "Condition", "Space"]

SPACES: dict[str, Space] = {
    "diffusion": DIFFUSION,
    "gan": GAN,
    "physical": PHYSICAL,
    "cotraining": COTRAINING,
    "distill": DISTILL,
    "diffusion_ranking_loss": DIFFUSION_RANKING_LOSS,
    "detector": DETECTOR,
    "critic": CRITIC,
    "agent": AGENT,
}
