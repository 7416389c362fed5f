"""Configuration of the diffusion process, without torch."""

from dataclasses import dataclass

from trainables.core.config import require, require_member

PREDICTION_NAMES = ("v", "eps")
SCHEDULE_NAMES = ("cosine", "log_snr")


@dataclass(frozen=True)
class NoiseConfig:
    """The diffusion process and what the network says about it."""

    objective: str = "v"  # better conditioned than eps at every noise level
    schedule: str = "cosine"
    timesteps: int = 1000
    min_snr_gamma: float = 5.0  # 0 switches the weights off
    condition_dropout: float = 0.1  # share of rows that train the unconditional model, for guidance
    estimate_share: float = 0.5  # of rows that see their own estimate, where the model takes one

    def __post_init__(self) -> None:
        require_member("objective", self.objective, PREDICTION_NAMES)
        require_member("schedule", self.schedule, SCHEDULE_NAMES)
        require(self.timesteps >= 1, "`timesteps >= 1`", f"timesteps={self.timesteps}")
        require(self.min_snr_gamma >= 0, "`min_snr_gamma >= 0`", f"min_snr_gamma={self.min_snr_gamma}")
        require(0 <= self.condition_dropout < 1, "`0 <= condition_dropout < 1`", str(self.condition_dropout))
        require(0 <= self.estimate_share <= 1, "`0 <= estimate_share <= 1`", str(self.estimate_share))
