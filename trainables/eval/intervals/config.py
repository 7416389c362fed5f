"""Configuration of bootstrap intervals, without torch."""

from dataclasses import dataclass

from trainables.core.config import require


@dataclass(frozen=True)
class BootstrapConfig:
    """How sure an interval is, and how many draws it rests on."""

    replicates: int = 1000  # the end of a 95 % interval then lies between the 2.0 % and the 3.0 % quantile (1 s.d.)
    level: float = 0.95

    def __post_init__(self) -> None:
        require(self.replicates >= 20, "`replicates >= 20`", f"replicates={self.replicates}")
        require(0 < self.level < 1, "`0 < level < 1`", f"level={self.level}")
