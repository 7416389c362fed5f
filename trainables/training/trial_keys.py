"""Names by which a trial and the driver of its study exchange what belongs to no metric."""

RESUME_FROM = "resume_from"  # among a trial's parameters: the checkpoint of the trial that it resumes
FAILURE = "failure"  # a trial's last result: the error that a retry would not cure
INTERRUPTED = "interrupted"  # a trial's last result: what stopped it that is no fault of its own
METRICS_FILE = "metrics.json"  # in a trial's checkpoint: its epoch and metrics, which may not have been reported
BEFORE = "before"  # in that file: epoch and metrics of all epochs before it
TRIALS = "trials"  # in the folder of a study: the folder of Tune's trials
GROUPS = "groups"  # beside it: the folder of the checkpoints of their worker groups
