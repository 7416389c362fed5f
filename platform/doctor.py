"""`python -m platform.doctor`: the preflight. Each line is a check, what it found, and what to do about it.

What imports torch and Ray is imported when the checks run, so that `--help` starts without them.
"""

import sys

from platform.preflight.config import DoctorConfig
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.data.config import DataConfig
from trainables.specs import TRAINABLES

ABOUT = """
Check what a sweep needs before it starts: versions, Ray, token, storage, resources, data.

  python -m platform.doctor                                               a sweep on this machine
  python -m platform.doctor scaling.num_workers=2 storage=sqlite:///s.db  with the keys that the sweep will have
  python -m platform.doctor address=auto storage_path=/mnt/shared         on a cluster: probes every node
  python -m platform.doctor connect=true                                  log in to the machines of cluster.yaml
"""

COMMAND = Command(
    module="platform.doctor",
    config_name="doctor",
    about=ABOUT,
    exit_codes={0: "nothing fails; there may be warnings", 1: "a check fails"},
    schemas={
        "doctor_schema": DoctorConfig,
        **{f"trainable/{name}_schema": trainable.config for name, trainable in TRAINABLES.items()},
    },
)


def main(request: Request) -> int:
    """Check, and print each finding as it comes."""
    settings = {key: value for key, value in request.config.items() if key != "trainable"}
    config = build(DoctorConfig, settings)
    data = build(DataConfig, request.config["trainable"]["data"], at="trainable.data")
    from platform.preflight.command import check

    return check(config, data)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
