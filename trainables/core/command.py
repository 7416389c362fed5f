"""Records of a command line: the command that is declared, the request of a user, and the files of `configs/`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@dataclass(frozen=True)
class Command:
    """One command: its configuration file, the defaults it builds on, and the text of `--help`.

    Attributes:
        schemas: Name in the config store ("tune_schema", "trainable/diffusion_schema") -> its dataclass, or several
            whose keys stand side by side.
        sweeps: Whether `key=interval(...)` and other sweep overrides are accepted (and handed over as laws).
        preset_key: A key that chooses another file in the folder of `config_name`, of those that build on the same
            schemas: with "experiment", `experiment=cpu` composes diffusion/cpu.yaml. Empty: there is one file.
        verbs: What the first word may be, and what it does; without one the command does what it is for.
        own: Verb -> the command that composes it, where a verb has keys of its own.
        argument: Key that a word without a key sets, as PATH in `inspect PATH`; empty: none does.
        switches: Options without a value (`--plan`), and what they do.
        implied: Override -> the choice of a group that follows from it where none is given ("space=gan" ->
            "trainable=gan").
        common: Keys that are used most: `--help` prints them first.
        exit_codes: Codes that the command adds to 0, 1, 2 and 130, or redefines.
        refused: Verb, key with `=`, or whole override, of other commands or older versions -> the line that refuses
            it; `{argument}` and `{value}` stand for what was given.
    """

    module: str
    config_name: str
    about: str
    schemas: Mapping[str, type | tuple[type, ...]]
    sweeps: bool = False
    preset_key: str = ""
    verbs: Mapping[str, str] = field(default_factory=dict)
    own: Mapping[str, "Command"] = field(default_factory=dict)
    argument: str = ""
    switches: Mapping[str, str] = field(default_factory=dict)
    implied: Mapping[str, str] = field(default_factory=dict)
    common: tuple[str, ...] = ()
    exit_codes: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Request:
    """A composed configuration and the overrides of the user.

    Attributes:
        given: Keys that the user set.
        laws: What the user gave instead of values.
        choices: Group -> its file ("trainable" -> "diffusion"), by default or by choice.
        verb: The first word, empty where there was none.
        switches: The switches that were given.
    """

    config: dict[str, Any]
    given: tuple[str, ...]
    laws: tuple[Override, ...]
    choices: Mapping[str, str] = field(default_factory=dict)
    verb: str = ""
    switches: frozenset[str] = frozenset()


def is_group(override: Override) -> bool:
    """Whether an override chooses a file of a group of keys."""
    return (CONFIGS / str(override.key_or_group)).is_dir()


def files_of(group: str) -> list[str]:
    """The files that a group of keys may be chosen from, by name."""
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


def presets(command: Command) -> list[str]:
    """The files beside a command's own that build on its schemas, by name."""
    folder = (CONFIGS / command.config_name).parent
    return sorted(path.stem for path in folder.glob("*.yaml") if _builds_on(path, command.schemas))


def _builds_on(file: Path, schemas: Mapping[str, Any]) -> bool:
    """Whether a file's defaults name one of a command's schemas: the folder holds those of other commands too."""
    content = OmegaConf.load(file)
    defaults = content.get("defaults", []) if isinstance(content, DictConfig) else []
    leaves = {name.rpartition("/")[2] for name in schemas}
    return any(str(default).partition("@")[0] in leaves for default in defaults)
