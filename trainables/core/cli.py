"""Command lines: Hydra composes `configs/` and the overrides, dataclasses check the result, errors are one line.

    python -m platform.tune [VERB] [--help] [--cfg job] [key=value ...]

Overrides follow Hydra's grammar; a verb chooses what to do where a command can do several things, and may have keys of
its own and one argument, which is taken literally. Exit codes: 0 done, 1 the work failed, 2 wrong input,
130 interrupted; a command that has more of them lists them in its help.
"""

import difflib
import os
import re
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from trainables.core.command import CONFIGS, Command, Request, files_of, is_group, presets
from trainables.core.config import ConfigError, require
from trainables.core.fields import defaults
from trainables.core.renamed import refusal

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130
MISTYPED = 0.8  # similarity of a key and a word that is taken for it


def run(command: Command, main: Callable[[Request], int], arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, call `main`, and turn every error that is no bug into one line and an exit code."""
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        _refuse(command, given)
        verb, options, words = _divided(command, given)
        command = command.own.get(verb, command)
        argument, overrides = _argument(command, words)
        switches = frozenset(options) & set(command.switches)
        request = replace(parse(command, overrides, argument), verb=verb, switches=switches)
        if {"-h", "--help"} & set(options):
            from trainables.core.help import help_text  # loads rich, which nothing else here needs

            print(help_text(command, request))
            return 0
        if {"--cfg", "-c"} & set(options):
            print(OmegaConf.to_yaml(OmegaConf.create(request.config)), end="")
            return 0
        return main(request)
    except (HydraException, OmegaConfBaseException, ValueError, RuntimeError) as error:
        if not _is_users(error):
            raise
        print(f"error: {_one_line(error)}", file=sys.stderr)
        return FAILED if isinstance(error, RuntimeError) else WRONG_INPUT
    except KeyboardInterrupt:
        print("interrupted: progress is saved", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 PTH123  # `| head` has seen enough; nothing is left to flush
        return 0


def _refuse(command: Command, arguments: Sequence[str]) -> None:
    """Raise `ConfigError` for a verb or key, or a key of a group, that the command refuses with a line of its own."""
    for argument in arguments:
        word, equals, value = argument.partition("=")
        lines = map(command.refused.get, (argument, word + equals, word.partition(".")[0] + equals))
        line = next(filter(None, lines), None)
        if line:
            raise ConfigError(line.format(argument=argument, value=value))


def _divided(command: Command, arguments: list[str]) -> tuple[str, list[str], list[str]]:
    """The verb, the options and the other words of a command line.

    Raises:
        ConfigError: a verb or an option that the command does not have.
    """
    options = [argument for argument in arguments if argument.startswith("-")]
    words = [argument for argument in arguments if not argument.startswith("-")]
    shows = bool({"--cfg", "-c"} & set(options))
    if "job" in words and not shows:
        raise ConfigError("expected an override key=value, but got job; did you mean `--cfg job`?")
    overrides = [word for word in words if word != "job"]
    known = ("--help", "--cfg job", *command.switches)
    for option in options:
        if option not in ("-h", "--help", "--cfg", "-c", *command.switches):
            raise ConfigError(f"unknown option {option}; known: {', '.join(known)}, and key=value overrides")
    verbs = [word for word in overrides if "=" not in word] if command.verbs else []
    if verbs and verbs[0] in command.own:
        overrides.remove(verbs[0])
        return verbs[0], options, overrides
    for verb in verbs:
        if verb not in command.verbs:
            raise ConfigError(f"expected an override key=value or one of {', '.join(command.verbs)}, but got {verb}")
    require(len(verbs) <= 1, "one verb", " ".join(verbs))
    return "".join(verbs), options, [word for word in overrides if word not in verbs]


def _argument(command: Command, words: list[str]) -> tuple[str, list[str]]:
    """The argument of a command, empty where there is none, and the overrides.

    It is the word without a "=", else the first one that begins with no key of the command, and with nothing like one:
    a path may hold a "=".

    Raises:
        ConfigError: more than one.
    """
    if not command.argument:
        return "", words
    keys = {key for schema in command.schemas.values() for key in _names(schema)}
    others = [word for word in words if not _names_key(word, keys)]
    found = [word for word in words if "=" not in word] or others[:1]
    given = [word for word in words if word.startswith(f"{command.argument}=")]
    remedy = "put quotes around a glob" if len(found) > 1 else "leave one of them out"
    require(len(found + given) <= 1, f"one `{command.argument}`", " and ".join((found + given)[:3]), remedy)
    return "".join(found), [word for word in words if word not in found]


def _names_key(word: str, keys: Collection[str]) -> bool:
    """Whether a word begins with a key, or with one that was mistyped."""
    name = re.split(r"[.=]", word.lstrip("+~"), maxsplit=1)[0]
    return bool(difflib.get_close_matches(name, keys, cutoff=MISTYPED))


def _names(schema: type | tuple[type, ...]) -> set[str]:
    classes = schema if isinstance(schema, tuple) else (schema,)
    return {name for cls in classes for name in defaults(cls)}


def parse(command: Command, overrides: Sequence[str], argument: str = "") -> Request:
    """Compose the configuration; sweep overrides are taken out first, as laws.

    Args:
        argument: Value of the key `command.argument`, taken literally; empty: there is none.

    Raises:
        ConfigError: an override that is malformed, unknown, or a sweep where none is accepted.
    """
    store = ConfigStore.instance()
    for name, schema in command.schemas.items():
        group, _, leaf = name.rpartition("/")
        classes = schema if isinstance(schema, tuple) else (schema,)
        node = {key: value for cls in classes for key, value in defaults(cls).items()}
        store.store(name=leaf, group=group or None, node=node)
    parsed = _with_implied(command, [_parse_override(text) for text in overrides])
    config_name, parsed = _preset(command, parsed)
    laws = tuple(override for override in parsed if override.is_sweep_override())
    values = [override for override in parsed if not override.is_sweep_override()]
    if laws and not command.sweeps:
        raise ConfigError(f"expected one value per key, but got the sweep {laws[0].input_line}; use platform.tune")
    for override in filter(is_group, parsed):
        _check_group(override)
    groups = [override for override in values if is_group(override)]
    config, choices = _compose(command, config_name, groups)
    known = dict(_keys(OmegaConf.to_container(config)))
    for override in parsed:
        if override not in groups:
            _check_key(override, known)
    for override in values:
        if override not in groups:
            _set_value(config, override)
    given = [str(override.key_or_group) for override in values]
    plain = OmegaConf.to_container(config, resolve=True)
    if not isinstance(plain, dict):
        raise TypeError("a configuration is a mapping")
    composed = {str(key): value for key, value in plain.items()}
    if argument:
        composed[command.argument] = argument
        given.append(command.argument)
    return Request(composed, tuple(given), laws, choices)


def _compose(command: Command, config_name: str, groups: Sequence[Override]) -> tuple[DictConfig, dict[str, str]]:
    """Compose a file with the choices of its groups; returns the configuration, and each group with its file."""
    with initialize_config_dir(str(CONFIGS), version_base="1.3", job_name=command.config_name):
        composed = compose(config_name, [str(choice.input_line) for choice in groups], return_hydra_config=True)
    files = composed.hydra.runtime.choices.items()
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    return own, {name: str(file) for name, file in files if not name.startswith("hydra/")}


def _with_implied(command: Command, overrides: Sequence[Override]) -> list[Override]:
    """The overrides, and the choices of groups that follow from them where the user made none."""
    given = {str(override.key_or_group) for override in overrides}
    implied = [command.implied[line] for override in overrides if (line := str(override.input_line)) in command.implied]
    return [*overrides, *(_parse_override(text) for text in implied if text.partition("=")[0] not in given)]


def _preset(command: Command, overrides: Sequence[Override]) -> tuple[str, list[Override]]:
    """The file to compose, and the overrides without the one that chose it; of several the last counts."""
    chosen = [override for override in overrides if command.preset_key and override.key_or_group == command.preset_key]
    if not chosen:
        return command.config_name, list(overrides)
    folder, name = Path(command.config_name).parent, str(chosen[-1].value())
    known = presets(command)
    if name not in known:
        choices = ", ".join(known)
        raise ConfigError(f"expected `{command.preset_key}` in {{{choices}}}, but got {chosen[-1].input_line}")
    return str(folder / name), [override for override in overrides if override not in chosen]


def _parse_override(text: str) -> Override:
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        hint = _quoting_hint(text)
        raise ConfigError(f"expected an override key=value, but got {text} ({_one_line(error)}){hint}") from None
    if not override.key_or_group:
        raise ConfigError(f"expected an override key=value, but got {text} without a key")
    if override.package is not None:
        raise ConfigError(f"expected a key without a package, but got {text}; leave out @{override.package}")
    if override.is_delete():
        raise ConfigError(f"expected a value, but got the deletion {text}; give it a value, as key=value")
    return override


def _quoting_hint(text: str) -> str:
    """Return what to do about a list or a bound that the shell or Hydra took apart; empty for another mistake.

    A shell takes `>=0.5]` of an argument without quotes for a file to write, and hands on what stands before it.
    """
    key, _, value = text.partition("=")
    if value.count("[") == value.count("]") and not set("<>") & set(value):
        return ""
    bound = value.strip("[]'\"") if set("<>") & set(value) else "val/recall>=0.5"
    example = f"'{key}=[\"{bound}\"]'" if key == "constraints" else f"'{key}=[...]'"
    return f"; put quotes around it, since a shell takes < and > for files: {example}"


def _check_group(override: Override) -> None:
    key = str(override.key_or_group)
    choices = files_of(key)
    if override.value() not in choices:
        remedy = f"choose one, or set a key of the group, as {key}.KEY=value"
        raise ConfigError(f"expected `{key}` in {{{', '.join(choices)}}}, but got {override.input_line}; {remedy}")


def _check_key(override: Override, known: Mapping[str, Any]) -> None:
    key = str(override.key_or_group)
    if isinstance(known.get(key), dict):
        first = next(iter(known[key]), "key")
        raise ConfigError(f"expected a key, but got the group of keys {key}; set one of them, as {key}.{first}=value")
    if key in known and override.is_add():
        raise ConfigError(f"expected a new key, but got {override.input_line}; leave out the +")
    if key not in known and not override.is_add():
        renamed = refusal(key, str(override.input_line).partition("=")[2], known)
        if renamed:
            raise ConfigError(renamed)
        close = difflib.get_close_matches(key, known, n=1)
        raise ConfigError(f"unknown key {key}; " + (f"did you mean `{close[0]}`?" if close else "see --cfg job"))


def _set_value(config: DictConfig, override: Override) -> None:
    """Set the value of an override in a composed configuration; composing again with it would take as long again."""
    added = override.is_add() or override.is_force_add()
    OmegaConf.update(config, str(override.key_or_group), override.value(), merge=True, force_add=added)


def _keys(node: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Every dotted key with its value, groups included."""
    if isinstance(node, dict):
        for name, child in node.items():
            yield f"{at}{name}", child
            yield from _keys(child, f"{at}{name}.")


def _is_users(error: BaseException) -> bool:
    """Whether an error speaks of the user's input: our own errors do, and Hydra's; any other ValueError is a bug."""
    ours = type(error).__module__.partition(".")[0] in ("trainables", "platform", "serve", "search_spaces")
    return ours or isinstance(error, HydraException | OmegaConfBaseException)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
