"""Names of everything that is logged: the search, the promotion, TensorBoard and the reports join on them."""

EPOCH = "epoch"
TRAIN_LOSS = "train/loss"
TRAIN_DENOISING = "train/denoising_loss"
TRAIN_RANKING = "train/ranking_loss"
TRAIN_RANKING_ACCURACY = "train/ranking_accuracy"
TRAIN_GRADIENT_NORM = "train/gradient_norm"
TRAIN_CRITIC = "train/critic_loss"
TRAIN_GENERATOR = "train/generator_loss"
TRAIN_WASSERSTEIN = "train/wasserstein"
TRAIN_GRADIENT_PENALTY = "train/gradient_penalty"
TRAIN_CROSS_ENTROPY = "train/cross_entropy"
TRAIN_TASK_CONTRASTIVE = "train/task_contrastive"
TRAIN_EMBODIMENT_CONTRASTIVE = "train/embodiment_contrastive"
TRAIN_CLUB = "train/club"
TRAIN_GOAL_ACCURACY = "train/goal_accuracy"
TRAIN_POSITIVE = "train/positive_logit"
TRAIN_NEGATIVE = "train/negative_logit"
TRAIN_LOGSUMEXP = "train/logsumexp"
TRAIN_MASKED = "train/masked_share"  # of the pairs off the diagonal, those that are no negatives
TRAIN_PHI_NORM = "train/phi_norm"
TRAIN_PSI_NORM = "train/psi_norm"
TRAIN_ACTOR = "train/actor_loss"
TRAIN_ENTROPY = "train/entropy"  # of the actor's actions, in nats
TRAIN_ALPHA = "train/alpha"  # weight of the entropy
TRAIN_Q = "train/q"
TRAIN_REWARD = "train/reward"  # of the hindsight goals of the batches
TRAIN_REACHED = "train/reached_share"  # of the agent's own episodes that ended, with exploration
TRAIN_ENVIRONMENT_STEPS = "train/environment_steps"
TRAIN_PATH_SNR = "train/path_snr_db"  # of fitted strokes, the median over movements
TRAIN_SPEED_SNR = "train/speed_snr_db"
TRAIN_SPEED_ABOVE_15_DB = "train/speed_above_15_db"  # share of the movements
TRAIN_SPEED_ABOVE_25_DB = "train/speed_above_25_db"
TRAIN_STROKES = "train/strokes"  # of a movement, the median
TRAIN_NOT_FITTED = "train/not_fitted"  # number of movements
TRAIN_REAL = "train/real"  # number of real movements in a cycle of a co-training
TRAIN_GENERATED = "train/generated"  # number of movements of the other model in a co-training
TRAIN_LEARNING_RATE = "train/learning_rate"
TRAIN_STEPS = "train/steps"
TRAIN_SECONDS = "train/seconds"
VAL_LOSS = "val/loss"
VAL_AUC_EXCESS = "val/auc_excess"
VAL_SERVED_EXCESS = "val/served_auc_excess"
VAL_MMD = "val/mmd"
VAL_PRD_PRECISION = "val/prd_precision"
VAL_PRD_RECALL = "val/prd_recall"
VAL_PRECISION = "val/precision"
VAL_RECALL = "val/recall"
VAL_DENSITY = "val/density"
VAL_COVERAGE = "val/coverage"
VAL_MEMORISATION = "val/memorisation"
VAL_MEMORISED_SHARE = "val/memorised_share"
VAL_COPIED_SHARE = "val/copied_share"
VAL_CONDITION_ERROR = "val/condition_error"
VAL_REJECTED = "val/rejected"
VAL_FNR_WORST_UNSEEN = "val/fnr_at_fpr_worst_unseen"  # at the configured FPR, of the unseen family where it is largest
VAL_FNR_UNSEEN = "val/fnr_unseen"  # mean over the unseen families
VAL_FNR_SEEN = "val/fnr_seen"
VAL_UNSEEN_AUC = "val/unseen_auc"
VAL_SEEN_AUC = "val/seen_auc"
VAL_FPR = "val/fpr"  # of the users of a split at the threshold of the validation users; no trial reports it
VAL_CALIBRATION_ERROR = "val/calibration_error"
VAL_BRIER = "val/brier"
VAL_GOAL_SHORTFALL = "val/goal_shortfall"  # accuracy of the better baseline minus that of the critic
VAL_GOAL_LOSS = "val/goal_infonce"
VAL_GOAL_ACCURACY = "val/goal_accuracy"
VAL_GOAL_DISTANCE = "val/goal_accuracy_distance"
VAL_GOAL_EXTRAPOLATION = "val/goal_accuracy_extrapolation"
VAL_GOAL_CHANCE = "val/goal_accuracy_chance"
VAL_GOAL_MASKED = "val/goal_masked_share"
VAL_REACH_FAILURE = "val/reach_failure"
VAL_REACH_SUCCESS = "val/reach_success"
VAL_REACH_SECONDS = "val/reach_seconds"
VAL_REACH_ERROR = "val/reach_error_px"
VAL_SECONDS = "val/seconds"
COTRAINING_CYCLE = "cotraining/cycle"  # 0: the warm-up
PARAMETERS = "model/parameters"
CHECKPOINT_PATH = "checkpoint_path"


def condition_error(column: str) -> str:
    """The name of the error of one column of the condition, beside the mean over columns."""
    return f"{VAL_CONDITION_ERROR}/{column}"


def of_source(metric: str, source: str) -> str:
    """The name of a metric on the movements of one source, beside that of all sources together."""
    return f"{metric}/{source}"


def probe_auc(probe: str) -> str:
    """The name of the AUC of one probe between real and generated movements."""
    return f"val/auc_{probe}"


def probe_accuracy(probe: str) -> str:
    """The name of its balanced accuracy at a threshold that training rows fix."""
    return f"val/accuracy_{probe}"


def probe_floor(probe: str) -> str:
    """The name of its AUC between the evaluated users and others of their source."""
    return f"val/floor_{probe}"


def family_fnr(family: str) -> str:
    """The name of the share of one family's bots that are missed, beside the worst of them."""
    return f"val/fnr/{family}"


def headline_of(side: str) -> str:
    """The name of the headline of one model of a co-training, beside that of the model that is sampled from."""
    return f"val/{side}_auc_excess"


def cycle_metric(side: str, name: str) -> str:
    """The name of a metric of the decision over one model at the end of a cycle."""
    return f"cotraining/{side}_{name}"


MINIMISED = "minimize"  # as Optuna spells it
MAXIMISED = "maximize"
