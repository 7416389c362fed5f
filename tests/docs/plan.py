"""Plan of the commands in the documentation: how each is run with a small budget, or why it is not run.

`RUNS` is in the order in which the commands are run, all in one folder, so that later ones use what earlier ones left.
A command is written here as a page shows it. `small` is added to it; of two values of a key the later one counts.
"""

from collections.abc import Mapping
from typing import NamedTuple

CHECKPOINT = "results/train/diffusion/checkpoints/last"
"""What stands for CHECKPOINT where a command is run."""
TINY = "trainable.epochs=1 trainable.steps_per_epoch=2"
SAMPLED = f"{TINY} trainable.batch_size=8 trainable.sampling.steps=2"
AGENT = f"{TINY} trainable.evaluation.episodes=16"
GAN = f"{TINY} trainable.batch_size=8"
PHYSICAL = "trainable.epochs=1 trainable.fit.movements=100 trainable.fit.iterations=2"
COTRAINING = (
    "trainable.epochs=8 trainable.steps_per_epoch=1 trainable.batch_size=8 trainable.sampling.steps=2 "
    "trainable.model.base_channels=16 trainable.fit.movements=60 trainable.fit.iterations=2 "
    "trainable.evaluation.probes=[features]"
)
DISTILL = (
    "trainable.teacher_calls=2 trainable.calls=1 trainable.epochs=1 trainable.steps_per_epoch=2 trainable.batch_size=8 "
    "trainable.evaluation.probes=[features]"
)
SEARCH = "budget.trials=1 budget.time_limit=10m finalists.top=0"
LIFTED = (
    "limits.auc_excess=1 limits.precision=0 limits.recall=0 limits.memorised_share=1 eval_seeds=2 latency.repeats=8"
)


class Run(NamedTuple):
    """A command that is run.

    Attributes:
        small: What is added to it.
        codes: The exit codes that are no fault.
    """

    command: str
    small: str = ""
    codes: tuple[int, ...] = (0,)


BEFORE_THE_SERVICE = (
    Run("python -m platform.doctor", codes=(0, 1)),  # it may find something on the machine that runs the tests
    Run("python -m platform.train", f"{SAMPLED} trainable.model.base_channels=16 trainable.model.groups=4"),
    Run("python -m platform.train trainable=gan", GAN),
    Run("python -m platform.train trainable=physical", PHYSICAL),
    Run("python -m platform.train trainable=physical trainable.fit.form=minimum_jerk name=submovements", PHYSICAL),
    Run("python -m platform.train trainable=cotraining", COTRAINING),
    Run("python -m platform.train trainable=cotraining trainable.alpha=0 name=separate", COTRAINING),
    Run(
        "python -m platform.train trainable=cotraining trainable.alpha=0 trainable.weight=0.1 name=weighted", COTRAINING
    ),
    Run("python -m platform.train trainable=distill trainable.teacher=CHECKPOINT", DISTILL),
    Run(
        "python -m platform.train trainable=distill trainable.teacher=CHECKPOINT trainable.calls=4 trainable.epochs=4 "
        "name=four",
        DISTILL,
    ),
    Run("python -m platform.train trainable=detector", TINY),
    Run("python -m platform.train trainable=critic", TINY),
    Run("python -m platform.train trainable=agent", AGENT),
    Run("python -m platform.train trainable=agent trainable.algorithm=sac name=sac", AGENT),
    Run(
        "python -m platform.train trainable=agent trainable.algorithm=cloning trainable.mode=offline name=cloning",
        AGENT,
    ),
    Run("python -m platform.train trainable=agent scaling.num_workers=2 name=agent2", AGENT),
    Run("python -m trainables.diffusion.train experiment=cpu", "epochs=1 steps_per_epoch=2 sampling.steps=2"),
    Run(
        "python -m platform.train trainable=gan scaling.num_workers=2 name=gan2",
        GAN,
    ),
    Run(
        "python -m platform.train trainable.data.source=table trainable.data.path=recordings.csv name=own",
        SAMPLED,
    ),
    Run(
        "python -m platform.train name=two "
        "'trainable.data.sources=[{reader:cursory},{reader:table,path:recordings.csv,name:mine}]'",
        SAMPLED,
    ),
    Run(
        "python -m platform.train name=without 'trainable.data.leave_out_users=[\"sapimouse/user64\"]'",
        SAMPLED,
    ),
    Run("python -m platform.data store"),
    Run("python -m platform.data store verify=true"),
    Run("python -m platform.data store prune=true", "--plan"),  # other checkouts use the same store
    Run("python -m platform.data forget user=sapimouse/user64 --plan"),
    Run("python -m platform.data forget user=sapimouse/user64", "--plan"),
    Run("python -m platform.data inspect recordings.csv"),
    Run("python -m platform.data inspect recordings.csv source=table json=inspect.json"),
    Run("python -m platform.data inspect source=cursory out=default.png"),
    Run("python -m platform.data convert recordings.csv out=converted.parquet"),
    Run(
        "python -m platform.data convert "
        "'sources=[{reader:cursory},{reader:table,path:recordings.csv,name:mine}]' out=both.parquet"
    ),
    Run(
        "python -m platform.train name=converted trainable.data.source=table trainable.data.path=converted.parquet",
        SAMPLED,
    ),
    Run(
        "python -m platform.train trainable=detector "
        "trainable.critic_checkpoint=results/train/critic/checkpoints/best name=consistent",
        TINY,
    ),
    Run("python -m platform.tune --plan", SAMPLED),
    Run(
        "python -m platform.tune",
        f"{SAMPLED} budget.trials=2 budget.time_limit=10m finalists.top=2 finalists.eval_seeds=1",
    ),
    Run("make tune", SAMPLED + " budget.trials=2 finalists.top=2 finalists.eval_seeds=1"),
    Run(
        "python -m platform.tune budget.trials=40 budget.time_limit=2h",
        f"{SAMPLED} budget.trials=2 finalists.top=2 finalists.eval_seeds=1",
    ),
    Run("python -m platform.tune budget=standard study_name=standard", f"{SAMPLED} --plan"),
    Run("python -m platform.tune study_name=wide trainable.model.base_channels=64", f"{SAMPLED} --plan"),
    Run("python -m platform.tune study_name=lr 'trainable.optim.lr=tag(log,interval(1e-4,5e-3))'", f"{SAMPLED} --plan"),
    Run("python -m platform.tune trainable=gan", f"{GAN} {SEARCH}"),
    Run("python -m platform.tune space=physical", f"{PHYSICAL} {SEARCH}"),
    Run("python -m platform.tune space=cotraining", f"{COTRAINING} trainable.epochs=14 {SEARCH}"),
    Run("python -m platform.tune space=distill trainable.teacher=CHECKPOINT", f"{DISTILL} {SEARCH}"),
    Run("python -m platform.tune space=diffusion_ranking_loss", f"{SAMPLED} {SEARCH}"),
    Run("python -m platform.tune trainable=detector", f"{TINY} {SEARCH} finalists.top=1 finalists.eval_seeds=1"),
    Run("python -m platform.tune space=critic", f"{TINY} {SEARCH} finalists.top=1 finalists.eval_seeds=1"),
    Run("python -m platform.tune space=agent", f"{AGENT} {SEARCH} finalists.top=1 finalists.eval_seeds=1"),
    Run("python -m platform.tune study_name=group scaling.num_workers=2", f"{SAMPLED} {SEARCH}"),
    Run(
        "python -m platform.tune study_name=own trainable.data.source=table trainable.data.path=recordings.csv",
        f"{SAMPLED} {SEARCH}",
    ),
    Run("python -m platform.tune stage=sampling study_name=diffusion", "finalists.eval_seeds=1"),
    Run("python -m platform.tune list"),
    Run("python -m platform.tune show study_name=diffusion"),
    Run("python -m platform.tune show study_name=diffusion trials=[0]"),
    Run("python -m platform.tune compare study_name=diffusion trials=[0,1]"),
    Run("python -m platform.tune report study_name=diffusion"),
    Run("python -m platform.tune export study_name=diffusion"),
    Run("python -m platform.tune reproduce study_name=diffusion trials=[0]"),
    Run("python -m platform.labels"),
    Run("python -m platform.evaluate ckpt=CHECKPOINT", "metrics=[mmd]"),
    Run(
        "python -m platform.evaluate ckpt=results/train/physical/checkpoints/best out_dir=evaluation/physical",
        "metrics=[mmd]",
    ),
    Run(
        "python -m platform.evaluate ckpt=results/train/cotraining/checkpoints/best out_dir=evaluation/cotraining",
        "metrics=[mmd]",
    ),
    Run(
        "python -m platform.evaluate ckpt=results/train/distill/checkpoints/calls-1 out_dir=evaluation/distill",
        "metrics=[mmd]",
    ),
    Run("python -m platform.evaluate ckpt=CHECKPOINT seed=7", "metrics=[spectra] out_dir=evaluation/seed"),
    Run("python -m platform.evaluate ckpt=CHECKPOINT split=test out_dir=evaluation/test", "metrics=[kinematics]"),
    Run("python -m platform.evaluate ckpt=CHECKPOINT crossfit=5 out_dir=evaluation/crossfit", "crossfit=2"),
    Run("python -m platform.evaluate samples=theirs.parquet out_dir=evaluation/theirs", "metrics=[mmd]"),
    Run("python -m platform.evaluate ckpt=results/train/detector/checkpoints/last out_dir=evaluation/detector"),
    Run(
        "python -m platform.evaluate ckpt=results/train/detector/checkpoints/last bots=bots.parquet "
        "out_dir=evaluation/bots"
    ),
    Run("python -m platform.evaluate ckpt=results/train/critic/checkpoints/best out_dir=evaluation/critic"),
    Run("python -m platform.evaluate ckpt=results/train/agent/checkpoints/best out_dir=evaluation/agent"),
    Run("python -m trainables.detector.export ckpt=results/train/detector/checkpoints/last out=detector.onnx"),
    Run("python -m trainables.detector.leave_one_out families=[pid,noise]", TINY),
    Run("python -m trainables.diffusion.sample ckpt=CHECKPOINT n=2000 out_dir=generated", "n=20 out_dir=generated/a"),
    Run(
        "python -m trainables.diffusion.sample ckpt=CHECKPOINT n=2000 steps=20 seq_len=64 out_dir=generated",
        "n=20 out_dir=generated/b",
    ),
    Run(
        "python -m trainables.diffusion.sample ckpt=CHECKPOINT n=100000 steps=8 format=[parquet] "
        "out_dir=generated/fast",
        "n=20",
    ),
    Run("python -m platform.data conditions split=test out=conditions.parquet"),
    Run(
        "python -m trainables.diffusion.sample ckpt=CHECKPOINT n=2000 quality=fast out_dir=generated/preset",
        "n=20",
    ),
    Run(
        "python -m trainables.diffusion.sample ckpt=results/train/distill/checkpoints/calls-1 n=2000 "
        "out_dir=generated/distilled",
        "n=20",
    ),
    Run("python -m trainables.diffusion.sample ckpt=CHECKPOINT cond=conditions.parquet out_dir=generated/test"),
    Run(
        "python -m trainables.diffusion.sample ckpt=CHECKPOINT cond=conditions.parquet steps=8 out_dir=generated/test8"
    ),
    Run(
        "python -m platform.evaluate samples=generated/test/samples.parquet split=test out_dir=evaluation/pairs",
        "metrics=[mmd]",
    ),
    Run(
        "python -m platform.evaluate samples=[generated/test/samples.parquet,generated/test8/samples.parquet] "
        "split=test out_dir=evaluation/both"
    ),
    Run("python -m platform.promote study_name=diffusion", LIFTED),
    Run("python -m platform.promote study_name=diffusion trial=0", LIFTED, codes=(0, 3)),
    Run("python -m platform.promote ckpt=CHECKPOINT split=validation", LIFTED, codes=(0, 3)),
    Run(
        "python -m platform.promote study_name=detector",
        "detector.limits.fpr=1 detector.limits.fnr_at_fpr_worst_unseen=1 eval_seeds=2 latency.repeats=8",
    ),
    Run("python -m platform.promote list"),
    Run("python -m platform.promote list registry=registry-detector"),
    Run("python -m docs.generate.movements CHECKPOINT", "--output movements.png"),
    Run("python -m benchmarks.decisions --decisions 400", "--decisions 4 --intervals 10"),
    Run("python -m benchmarks.contrastive", "--repeats 1 --batch 12 --base 16"),
    Run("python -m benchmarks.solver_error CHECKPOINT", "--rows 2"),
    Run("python -m platform.selector ckpt=CHECKPOINT", "ratio.samples=1 ratio.trees=3 ratio.folds=2"),
    Run(
        "python -m platform.selector ckpt=CHECKPOINT rounds=2 replace=true",
        "ratio.samples=1 ratio.trees=3 ratio.folds=2 round_candidates=2",
    ),
    Run(
        "python -m platform.train trainable=diffusion trainable.reweight.checkpoint=CHECKPOINT name=reweighted",
        f"{SAMPLED} trainable.model.base_channels=16 trainable.model.groups=4",
    ),
    Run(
        "python -m platform.train trainable=diffusion trainable.reweight.checkpoint=CHECKPOINT "
        "trainable.init_from=CHECKPOINT name=tuned",
        f"{SAMPLED} trainable.model.base_channels=16 trainable.model.groups=4",
    ),
    Run(
        "python -m platform.evaluate ckpt=CHECKPOINT sampling.candidates=8 out_dir=evaluation/eight",
        "sampling.candidates=2 metrics=[mmd]",
    ),
    Run(
        "python -m platform.evaluate ckpt=CHECKPOINT sampling.candidates=8 "
        "detector_checkpoint=results/train/detector/checkpoints/last out_dir=evaluation/probed",
        "sampling.candidates=2 metrics=[mmd]",
    ),
    Run(
        "python -m trainables.diffusion.sample ckpt=CHECKPOINT candidates=8 source=sapimouse n=500 "
        "out_dir=generated/eight",
        "candidates=2 n=20",
    ),
    Run(
        "python -m benchmarks.selection CHECKPOINT --candidates 1 4 8 --seeds 7 8 9 10 "
        "--detector results/train/detector/checkpoints/last",
        "--candidates 1 2 --seeds 7",
    ),
    Run("python -m benchmarks.observation", "--movements 50 --repeats 2"),
    Run("python -m benchmarks.probes", "--splits 1 --movements 60"),
    Run("python -m benchmarks.field_probe", "--splits 1 --movements 60"),
    Run("python -m benchmarks.augmentations", "--seeds 1 --probes quadratic"),
    Run("python -m benchmarks.reach_environment --steps 100 --rounds 8", "--copies 64 --steps 5 --rounds 1"),
    Run(
        "python -m benchmarks.reach_agent --epochs 8 --seeds 0 1 --output agent.json --picture agent.png",
        "--epochs 1 --steps 2 --episodes 16 --agents contrastive",
    ),
    Run(
        "python -m benchmarks.reach_agent --agents contrastive --depths 4 8 16 32 --equal-compute --epochs 8 "
        "--seeds 0 1 --output free.json",
        "--epochs 1 --steps 30 --episodes 16 --depths 4 8 --seeds 0",
    ),
    Run(
        "python -m benchmarks.reach_agent --layouts u_maze --agents contrastive --depths 4 8 16 32 --equal-compute "
        "--epochs 12 --steps 600 --lr 1e-3 --gamma 0.98 --seeds 0 1 --output u_maze.json",
        "--epochs 1 --steps 30 --episodes 16 --depths 4 8 --seeds 0",
    ),
    Run(
        "python -m benchmarks.reach_agent --agents --earlier free.json u_maze.json --picture agent_depths.png",
        "--episodes 16",
    ),
    Run("python -m benchmarks.cotraining", "--steps 40"),
    Run("python -m benchmarks.critic --output critic.json", "--depths 4 --width 32 --repeats 1"),
    Run(
        "python -m benchmarks.goal_consistency --out results/goal_consistency",
        "--epochs 1 --critic-epochs 1 --seeds 1",
    ),
    Run("python -m benchmarks.suggestion", "--trials 12 --repeats 1"),
    Run("python -m benchmarks.prepared_data", "--sizes 400"),
    Run("python -m benchmarks.generator_sampling", "--rows 1 --repeats 1"),
    Run("make tensorboard LOGDIR=results/diffusion/tensorboard", "--inspect"),
)
SERVICE = Run("python -m serve")
"""Runs in the background for the commands that follow and for the blocks of Python."""
BESIDE_THE_SERVICE = (
    Run(
        "curl -s localhost:8000/v1/samples -H 'Content-Type: application/json' "
        """-d '{"n": 1000, "seed": 7, "format": "npy"}' -o negatives.npy"""
    ),
    Run("python -m platform.negatives url=http://127.0.0.1:8000 out_dir=results/negatives n=500", "n=200"),
)
AFTER_THE_SERVICE = (
    Run(
        "python -m platform.train trainable=detector trainable.negatives.served=1 "
        "trainable.negatives.served_folder=results/negatives name=hard",
        TINY + " trainable.negatives.alpha=0.1",
    ),
    Run("python -m platform.promote rollback", codes=(0, 1)),
)
RUNS = (*BEFORE_THE_SERVICE, SERVICE, *BESIDE_THE_SERVICE, *AFTER_THE_SERVICE)

HOURS = "takes minutes to hours on two cores, and has no smaller budget that runs the same code"
SEVERAL = "needs a checkpoint of two sources of 60 users each; tests/trainables/model_evaluation runs it"
REACHING = (
    "needs an agent that reaches targets, which takes minutes; tests/trainables/detector/test_evaluate.py runs it"
)
TRAINED_ON = (
    "needs an agent that reaches targets; tests/trainables/detector/test_training_on_an_agent.py trains on a small one"
)
MACHINES = "needs the machines of a cluster"
INSTALLS = "installs packages; continuous integration runs it"
DATA_SETS = (
    "needs a public data set that is not included; tests/trainables/data/readers reads small files of its format"
)
SET_128 = "trainable.data.canonical.sequence_length=128"
ACTA = ",".join(
    f"{{reader:mousetracker,path:acta2015sce/rawData/exp{number},name:acta2015_exp{number}}}" for number in (1, 2, 3)
)
EXCEPTIONS: Mapping[str, str] = {
    "python -m platform.train name=acta trainable.data.source=mousetracker "
    f"trainable.data.path=acta2015sce/rawData/exp1 {SET_128}": DATA_SETS,
    f"python -m platform.train name=acta3 'trainable.data.sources=[{ACTA}]' {SET_128}": DATA_SETS,
    "python -m platform.train name=flanker trainable.data.source=mousetrap "
    "trainable.data.path=MT_flanker/exp1/results/data": DATA_SETS,
    "python -m platform.train name=numberline trainable.data.source=mousetrap "
    f"trainable.data.path=MT_SOM_experiment/results/data {SET_128}": DATA_SETS,
    "python -m platform.train name=kh2017 trainable.data.source=mousetrap "
    "trainable.data.path=mousetrap-resources/KieslichHenninger2017/merged_data/raw_data.csv.gz "
    f"{SET_128}": DATA_SETS,
    "python -m platform.train name=balabit trainable.data.source=balabit "
    "trainable.data.path=Mouse-Dynamics-Challenge/training_files": DATA_SETS,
    "python -m platform.train name=sapimouse trainable.data.source=sapimouse trainable.data.path=sapimouse": DATA_SETS,
    "make test": "continuous integration runs it",
    "make venv": INSTALLS,
    "make venv PYTHON=python3.12": INSTALLS,
    "make docs": INSTALLS,
    "make bench": HOURS,
    'make hard-negatives ARGS="bots=bots.parquet"': HOURS,
    "make serve": "a server until Ctrl-C; `python -m serve`, which it calls, is run",
    "make dashboard STORAGE=results/diffusion/study.journal": "installs an extra, then a server until Ctrl-C",
    "python -m trainables.diffusion.train experiment=train": "a network for a GPU; experiment=cpu is run",
    "python -m benchmarks.ablations representation --seeds 1": HOURS,
    "python -m benchmarks.ablations contrastive --steps 600": HOURS,
    "python -m benchmarks.ablations contrastive-cost --seeds 1 --steps 600": HOURS,
    "python -m benchmarks.ablations training --steps 600": HOURS,
    "python -m benchmarks.ablations pixel-grid --recordings TABLE --sources cursory freihaut_click "
    "--set data.rows_per_user=20": HOURS,
    "python -m benchmarks.autoencoder": HOURS,
    "python -m benchmarks.physical": HOURS,
    "python -m benchmarks.model_per_source PART --recordings TABLE --out FOLDER": HOURS,
    "python -m benchmarks.scarce_data --recordings TABLE.parquet MORE.parquet --out results/scarce_data": HOURS,
    "python -m benchmarks.sweep_throughput": HOURS,
    "python -m benchmarks.search_quality --trials 12": HOURS,
    "python -m benchmarks.serving": HOURS,
    "locust -f benchmarks/load.py --headless -u 16 -r 16 -t 60s --host http://127.0.0.1:8000": (
        "needs the extra `bench` and a service for a minute"
    ),
    "serve run serve.app:app": "a server until Ctrl-C; the tests of the service deploy the same application",
    "RAY_AUTH_MODE=token serve deploy serve/deploy.yaml": MACHINES,
    "RAY_AUTH_MODE=token ray get-auth-token --generate": "writes into the home folder",
    "python -m platform.evaluate ckpt=CHECKPOINT leave_one_source_out=true out_dir=evaluation/sources": SEVERAL,
    "python -m platform.evaluate ckpt=results/train/detector/checkpoints/last "
    "agent_checkpoint=results/train/agent/checkpoints/best out_dir=evaluation/reaching": REACHING,
    "python -m platform.train trainable=detector trainable.negatives.agent=0.125 "
    "trainable.negatives.agent_checkpoint=results/train/agent/checkpoints/best name=asked": TRAINED_ON,
    "python -m platform.evaluate ckpt=results/train/detector/checkpoints/last "
    "agent_checkpoint=results/train/agent/checkpoints/best 'report.fprs=[0.05,0.01]' "
    "out_dir=evaluation/rates": REACHING,
    "python -m docs.generate.critic results/train/critic/checkpoints/best results/train/agent/checkpoints/best": (
        "needs an agent that reaches targets; tests/docs/test_critic_pictures.py draws with a small one"
    ),
    "python -m platform.doctor connect=true": MACHINES,
    "python -m platform.doctor address=auto storage_path=/mnt/humouse": MACHINES,
    "python -m platform.tune address=auto storage_path=/mnt/humouse scaling.num_workers=2": MACHINES,
    "python -m platform.train address=auto scaling.num_workers=4 storage_path=/mnt/humouse/train": MACHINES,
    "ray up cluster.yaml": MACHINES,
    "ray down cluster.yaml": MACHINES,
    "ray dashboard cluster.yaml": MACHINES,
    "ray exec cluster.yaml 'cd ~/humouse-lab && RAY_AUTH_MODE=token make tune "
    """ARGS="address=auto storage_path=/mnt/humouse"'""": MACHINES,
}
"""Commands that are parsed only, with the reason: the target exists, and the configuration composes."""
