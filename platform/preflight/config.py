"""Configurations of the preflight and of the check of labels, without torch and Ray."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import Folder, Length, NonNegativeInt, PositiveInt, check
from trainables.training.scaling import ScalingConfig


@dataclass(frozen=True)
class DoctorConfig:
    """Settings of the preflight; keys have the names that they have in a sweep."""

    storage_path: Folder = "results"  # folder that a sweep would write to
    storage: str = ""  # URL of Optuna's database; empty: a journal file below storage_path
    address: str = "local"  # Ray cluster that a sweep would use; auto: the one that this machine belongs to
    scaling: ScalingConfig = field(default_factory=ScalingConfig)
    cluster: str = "cluster.yaml"  # cluster file that is checked
    connect: bool = False  # log in to every machine of the cluster file

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class LabelsConfig:
    """Settings of the label checks."""

    # batch sizes that the labels are made again with
    batch_sizes: Annotated[tuple[PositiveInt, ...], Length()] = (7, 128, 1000)
    # numbers of DataLoader workers that the labels are made again by; 0 is this process
    num_workers: Annotated[tuple[NonNegativeInt, ...], Length()] = (0, 1, 2)
    shuffles: PositiveInt = 3  # random orders that the labels are made again in

    def __post_init__(self) -> None:
        check(self)
