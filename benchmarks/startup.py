"""CPU seconds (user and system) until a command has answered what needs no model, with bytecode cached.

Each line is run once to write the bytecode and then `--repeats` times in a process of its own; the table shows the
median and the largest. The target is 1.5 s each. Studies are listed and shown where `--study` names the folder of one,
as `python -m platform.tune study_name=small` writes it into `results/small`.

`python -m benchmarks.startup --study results/small --output startup.json`
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
from pathlib import Path

TARGET_S = 1.5
LINES = (
    "platform.tune --help",
    "platform.tune --cfg job",
    "platform.tune no_such_key=1",
    "platform.train --help",
    "platform.doctor --help",
    "platform.promote --help",
    "platform.evaluate --help",
    "platform.data --help",
    "platform.labels --help",
    "platform.negatives --help",
    "platform.selector --help",
    "serve --help",
    "trainables.detector.export --help",
    "trainables.detector.leave_one_out --help",
    "trainables.diffusion.sample --help",
    "trainables.diffusion.train --help",
    "trainables.eval.diffusion_eval --help",
)


def reading(study: Path) -> tuple[str, ...]:
    """Return the lines that list and show a study."""
    names = f"storage_path={study.parent} study_name={study.name}"
    return (f"platform.tune list {names}", f"platform.tune show {names}", f"platform.tune show trials=[0] {names}")


def cpu_s(line: str) -> float:
    """Run one command line and return the CPU seconds of its process."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", *line.split()], env=environment, capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def main() -> None:
    """Measure, print a table and write the seconds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--study", type=Path, help="folder of a study to list and show")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    results = {}
    for line in (*LINES, *(reading(given.study) if given.study else ())):
        cpu_s(line)
        results[line] = [cpu_s(line) for _ in range(given.repeats)]
        seconds = results[line]
        over = "  over the target" if statistics.median(seconds) > TARGET_S else ""
        print(f"{line:<42} {statistics.median(seconds):5.2f} s (largest {max(seconds):.2f}){over}", flush=True)
    if given.output:
        given.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
