"""Who trains one model: the configuration of processes and workers, without torch and Ray."""

from dataclasses import dataclass

from trainables.core.config import require

TRIAL_DRIVER = "trial_driver"  # custom resource of a trial that leads a worker group


@dataclass(frozen=True)
class ScalingConfig:
    """Who trains one model: 0 workers is the trial's own process, N >= 1 a group of worker processes."""

    num_workers: int = 0
    cpus_per_worker: int = 1  # also the worker's torch threads: more trials beat more threads
    gpus_per_worker: float = 0.0
    max_failures: int = 2  # restarts from the last checkpoint before a trial counts as failed

    def __post_init__(self) -> None:
        require(self.num_workers >= 0, "`num_workers >= 0`", f"num_workers={self.num_workers}")
        require(self.cpus_per_worker >= 1, "`cpus_per_worker >= 1`", f"cpus_per_worker={self.cpus_per_worker}")
        require(self.gpus_per_worker >= 0, "`gpus_per_worker >= 0`", f"gpus_per_worker={self.gpus_per_worker}")
        require(self.max_failures >= 0, "`max_failures >= 0`", f"max_failures={self.max_failures}")

    def trial_resources(self) -> dict[str, float]:
        """What Tune reserves for the trial itself, beside its workers' placement group."""
        if self.num_workers:
            return {"CPU": 0, TRIAL_DRIVER: 1}
        return {"CPU": float(self.cpus_per_worker), "GPU": self.gpus_per_worker}

    def cpus_per_trial(self) -> int:
        """CPUs that a trial needs altogether."""
        return max(self.num_workers, 1) * self.cpus_per_worker
