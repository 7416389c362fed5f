"""Archive of a study's re-evaluations: one file per checkpoint in the study's folder."""

import json
from dataclasses import dataclass
from pathlib import Path

from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, digest
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import CheckpointError, load_record

LEADERBOARD = "leaderboard.json"  # in a study's folder
EVALUATIONS = "judgements"  # folder; its first name, so that older studies are read
VALIDATION = "validation"


@dataclass(frozen=True)
class EvaluationArchive:
    """Results on the validation split under some seeds, stored as files in a folder."""

    folder: Path
    seeds: tuple[int, ...]

    def find(self, checkpoint: Path) -> EvaluationResult | None:
        """Return the stored result of a checkpoint; None if there is none, or another version of the code computed it.

        Raises:
            ConfigError: the file is damaged.
        """
        try:
            file = self._file(checkpoint)
        except CheckpointError:
            return None
        try:
            stored = EvaluationResult.from_json(json.loads(file.read_text()))
            return stored if stored.is_of_today else None
        except FileNotFoundError:
            return None
        except ValueError as error:
            raise ConfigError(f"{file}: {error}; delete the file to evaluate the checkpoint again") from None

    def store(self, checkpoint: Path, evaluation: EvaluationResult) -> None:
        """Write a result in one atomic step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(evaluation.to_json(), sort_keys=True, allow_nan=False)
        write_atomically(self._file(checkpoint), text + "\n")

    def _file(self, checkpoint: Path) -> Path:
        """Return the file, named by the weights and by all else that the result depends on."""
        record = load_record(checkpoint)
        rest = digest({"seeds": self.seeds, "config": record.get("config"), "data": record.get("data_sha256")})
        return self.folder / f"{str(record.get('weights_sha256'))[:16]}-{VALIDATION}-{rest}.json"
