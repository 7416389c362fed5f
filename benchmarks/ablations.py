"""Ablations of the diffusion trainable: variants with the same data, the same number of steps and several seeds.

Each run is trained for `--steps` steps, then generates one sample per validation movement under that movement's
condition, and is evaluated as a trial of a sweep is: the excess of the AUC, which is the headline, the AUC of each
probe, and other metrics. The table gives the mean over seeds with its 95 % interval (Student's t), the JSON file every
run.

`python -m benchmarks.ablations contrastive --seeds 3 --steps 600`
`python -m benchmarks.ablations pixel-grid --seeds 3 --set data.source=table data.path=recordings.parquet`
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from benchmarks.support.intervals import format_mean
from trainables.core.config import build, plain, with_values
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import epochs
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.training import metric_names as names

Overrides = Mapping[str, Any]
METRICS = {
    "AUC excess": names.VAL_AUC_EXCESS,
    **{f"AUC, {probe}": names.probe_auc(probe) for probe in HEADLINE_PROBES},
    "MMD": names.VAL_MMD,
    "precision": names.VAL_PRECISION,
    "recall": names.VAL_RECALL,
    "memorised": names.VAL_MEMORISED_SHARE,
    "condition error": names.VAL_CONDITION_ERROR,
    "ranking accuracy": names.TRAIN_RANKING_ACCURACY,
    "training s": names.TRAIN_SECONDS,
}
NO_VARIATIONS = {
    f"augmentation.variations.{name}.probability": 0.0
    for name in ("crop", "stretch", "warp", "goal", "mirror", "jitter")
}
SUITES: dict[str, dict[str, Overrides]] = {
    "contrastive": {
        "weight 0": {},
        **{
            f"weight {weight}, temperature {temperature}": {
                "contrastive.weight": weight,
                "contrastive.temperature": temperature,
            }
            for weight in (0.05,)
            for temperature in (0.2, 1.0, 5.0)
        },
    },
    "contrastive-cost": {
        "weight 0": {},
        "share 1": {"contrastive.weight": 0.05, "contrastive.share": 1.0},
        "share 0.25": {"contrastive.weight": 0.05},
        "share 1, every 4": {"contrastive.weight": 0.05, "contrastive.share": 1.0, "contrastive.every": 4},
        "share 0.25, detached": {"contrastive.weight": 0.05, "contrastive.detach_negatives": True},
    },
    "representation": {
        "fixed dt, 60 Hz": {},
        "fixed dt, companded at 1 px": {"data.companding_px": 1.0},
        "normalised time": {"data.canonical.representation": "normalised_time"},
        "events (dx, dy, ticks)": {"data.canonical.representation": "events"},
    },
    "training": {
        "default": {},
        "no self-conditioning": {"model.self_condition": False},
        "no min-SNR weights": {"diffusion.min_snr_gamma": 0.0},
        "no augmentation": NO_VARIATIONS,
        "no dropout": {"model.dropout": 0.0},
        "eps": {"diffusion.objective": "eps"},
        "log-SNR schedule": {"diffusion.schedule": "log_snr"},
    },
    "pixel-grid": {
        "default": {},
        "quarter turns": {"data.frame": "quarter_turn"},
        "channel of motion": {"motion.channel": True},
        "ends as condition": {"motion.ends": True},
        "all three": {"data.frame": "quarter_turn", "motion.channel": True, "motion.ends": True},
    },
    "averaging": {
        "decay 0.999": {},
        "width 0.05": {"optim.ema_width": 0.05},
        "width 0.10": {"optim.ema_width": 0.10},
        "width 0.15": {"optim.ema_width": 0.15},
    },
    "latent": {"steps": {}, "latents, 8 channels": {"latent.enabled": True}},
    "conditioning": {"conditioned": {}, "end point inpainted": {"sampling.inpaint": True}},
}


def run(overrides: Overrides, seed: int, steps: int) -> dict[str, float]:
    """Train one variant; return the metrics of its last validation, by their titles."""
    settings = {"seed": seed, "epochs": 1, "steps_per_epoch": steps, **overrides}
    config = build(DiffusionConfig, with_values(plain(DiffusionConfig()), settings))
    *_, last = epochs(config)
    return {title: last.metrics[name] for title, name in METRICS.items() if name in last.metrics}


def measure(suite: str, seeds: int, steps: int, shared: Overrides) -> Iterator[dict[str, Any]]:
    """Yield every run of a suite, seed by seed, so that an interrupted suite has complete comparisons."""
    for seed in range(seeds):
        for name, overrides in SUITES[suite].items():
            began = time.perf_counter()
            metrics = run({**shared, **overrides}, seed, steps)
            print(f"{suite}: {name}, seed {seed}: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
            yield {"variant": name, "seed": seed, **metrics}


def table(runs: list[dict[str, Any]]) -> str:
    """Return a Markdown table with one row per variant."""
    titles = [title for title in METRICS if any(title in each for each in runs)]
    lines = ["| variant | " + " | ".join(titles) + " |", "|---" * (len(titles) + 1) + "|"]
    for name in dict.fromkeys(each["variant"] for each in runs):
        rows = [each for each in runs if each["variant"] == name]
        cells = [[row[title] for row in rows if title in row] for title in titles]
        lines.append(f"| {name} | " + " | ".join(format_mean(cell) if cell else "" for cell in cells) + " |")
    return "\n".join(lines)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1350, help="optimisation steps of each run")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys that all variants share")
    parser.add_argument("--output", type=Path, help="also write every run as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the suite and print its table."""
    given = arguments(argv)
    torch.set_num_threads(given.threads)
    pairs = (pair.partition("=") for pair in given.set)
    shared = {key: yaml.safe_load(value) for key, _, value in pairs}
    runs = list(measure(given.suite, given.seeds, given.steps, shared))
    print(table(runs))
    if given.output:
        settings = {name: value for name, value in vars(given).items() if name != "output"}
        given.output.write_text(json.dumps({"settings": settings, "runs": runs}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
