"""Configuration of processes and workers that train one model; imports neither torch nor Ray."""

from dataclasses import dataclass

from trainables.core.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, check

TRIAL_DRIVER = "trial_driver"  # custom resource of a trial that leads a worker group


@dataclass(frozen=True)
class ScalingConfig:
    """Processes that train one model: 0 workers is the trial's own process, N >= 1 a group of worker processes."""

    num_workers: NonNegativeInt = 0  # worker processes per model; 0: the trial's own process trains
    cpus_per_worker: PositiveInt = 1  # CPUs of a worker, also its torch threads: more trials beat more threads
    gpus_per_worker: NonNegativeFloat = 0.0  # GPUs of a worker; a fraction shares one
    max_failures: NonNegativeInt = 2  # restarts from the last checkpoint before a trial counts as failed

    def __post_init__(self) -> None:
        check(self)

    def trial_resources(self) -> dict[str, float]:
        """Return the resources that Tune reserves for the trial itself, beside its workers' placement group."""
        if self.num_workers:
            return {"CPU": 0, TRIAL_DRIVER: 1}
        return {"CPU": float(self.cpus_per_worker), "GPU": self.gpus_per_worker}

    def cpus_per_trial(self) -> int:
        """CPUs that a trial needs altogether."""
        return max(self.num_workers, 1) * self.cpus_per_worker

    def gpus_per_trial(self) -> float:
        """GPUs that a trial needs altogether."""
        return max(self.num_workers, 1) * self.gpus_per_worker
