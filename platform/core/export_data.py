"""Write the evaluation conditions of a split."""

from pathlib import Path

from rich.console import Console

from platform.core.data_config import EvaluationRowsConfig
from platform.core.output_files import writable
from trainables.data.evaluation_rows import evaluation_table, write_evaluation_table


def export_conditions(config: EvaluationRowsConfig) -> int:
    """Write the conditions of a split, and print the file; returns the exit code.

    Raises:
        ConfigError: the file cannot be written.
    """
    table, path = evaluation_table(config.data, config.split), Path(config.out)
    with writable("out", path):
        write_evaluation_table(table, path)
    users = table["user"].nunique()
    line = f"{path.resolve()}: {len(table)} conditions of {users} users of the {config.split} split"
    Console().print(line, highlight=False, soft_wrap=True)
    return 0
