"""The archive of a study's re-evaluations: one file per checkpoint in the study's folder."""

import json
from dataclasses import dataclass
from pathlib import Path

from trainables.core.atomic_files import replace
from trainables.core.config import ConfigError, digest
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import CheckpointError, load_record

LEADERBOARD = "leaderboard.json"  # in a study's folder
JUDGEMENTS = "judgements"
VALIDATION = "validation"


@dataclass(frozen=True)
class Archive:
    """Judgements on the validation split under some seeds, as files in a folder."""

    folder: Path
    seeds: tuple[int, ...]

    def find(self, checkpoint: Path) -> EvaluationResult | None:
        """What was kept of a checkpoint, if today's code judged it.

        Raises:
            ConfigError: the file is damaged.
        """
        try:
            file = self._file(checkpoint)
        except CheckpointError:
            return None
        try:
            kept = EvaluationResult.from_json(json.loads(file.read_text()))
            return kept if kept.is_of_today else None
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(f"{file}: {error}; delete the file and the checkpoint is judged again") from None

    def keep(self, checkpoint: Path, judgement: EvaluationResult) -> None:
        """Write a judgement in one atomic step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(judgement.to_json(), sort_keys=True, allow_nan=False)
        replace(self._file(checkpoint), text + "\n")

    def _file(self, checkpoint: Path) -> Path:
        """Named by the weights, and by all that a judgement depends on beside them."""
        record = load_record(checkpoint)
        rest = digest({"seeds": self.seeds, "config": record.get("config"), "data": record.get("data_sha256")})
        return self.folder / f"{str(record.get('weights_sha256'))[:16]}-{VALIDATION}-{rest}.json"
