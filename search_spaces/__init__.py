"""What may vary in a sweep, by which law, and by which metric it is judged: data, no code."""

from search_spaces.detector import SPACE as DETECTOR
from search_spaces.diffusion import SPACE as DIFFUSION
from search_spaces.gan import SPACE as GAN
from search_spaces.ranking import SPACE as RANKING
from search_spaces.space import Condition, Space

__all__ = ["SPACES", "Condition", "Space"]

SPACES: dict[str, Space] = {"diffusion": DIFFUSION, "gan": GAN, "ranking": RANKING, "detector": DETECTOR}
