import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from serve.settings import BatchConfig, LimitsConfig, ReplicasConfig, ServeConfig, is_loopback
from serve.tokens import SHORTEST, Tokens, read_tokens, require_guarded
from trainables.core.config import ConfigError, build, plain

LONG = "0123456789abcdef"


def test_the_defaults_keep_their_own_laws_and_survive_a_round_trip() -> None:
    assert build(ServeConfig, plain(ServeConfig())) == ServeConfig()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(LimitsConfig)])
def test_every_limit_is_at_least_1(name: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"`limits.{name} >= 1` must hold, but got 0")):
        LimitsConfig(**{name: 0})


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"storage_path": ""}, "`storage_path` names a folder"),
        ({"champion": "../../etc"}, "`champion` is an id such as 0003-9f86d081884c, or empty"),
        ({"host": ""}, "`host` names an address"),
        ({"port": 65536}, "`0 <= port < 65536`"),
        ({"port": -1}, "`0 <= port < 65536`"),
        ({"quota": 4095}, "`quota = 0` or `quota >= limits.n`"),
        ({"quota": -1}, "`quota = 0` or `quota >= limits.n`"),
        ({"queue": 0}, "`queue >= 1`"),
        ({"timeout_s": 0.0}, "`0 < timeout_s < inf`"),
        ({"timeout_s": float("nan")}, "`0 < timeout_s < inf`"),
        ({"kept_batches": 0}, "`kept_batches >= 1`"),
        ({"kept_bytes": 9_999_999}, "`kept_bytes >= 10 limits.body_bytes`"),
        ({"limits": {"n": 100}}, "`limits.json_n <= limits.n`"),
        ({"batch": {"rows": 0}}, "`batch.rows >= 1`"),
        ({"batch": {"patience": 1.5}}, "`0 <= batch.patience <= 1`"),
        ({"replicas": {"minimum": 3}}, "`1 <= replicas.minimum <= replicas.maximum`"),
        ({"replicas": {"threads": 0}}, "`replicas.threads >= 1`"),
    ],
)
def test_a_value_that_breaks_its_law_is_named_with_it(values: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"{law} must hold, but got")):
        build(ServeConfig, values)


def test_parts_have_values_that_hold_by_themselves() -> None:
    assert BatchConfig().rows >= 1
    assert ReplicasConfig().minimum == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_loopback_address_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    require_guarded(host, Tokens())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "serve.example.org", "localhost.example.org", ""])
def test_any_other_address_is_refused_without_a_token_and_taken_with_one(host: str) -> None:
    with pytest.raises(ConfigError, match=re.escape("needs a token` must hold")):
        require_guarded(host, Tokens())
    require_guarded(host, read_tokens("", {"HUMOUSE_TOKENS": LONG}))


def test_tokens_of_the_file_and_of_the_environment_are_known_by_their_names(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"# of the team\nada={LONG}A\n\n{LONG}B==\n")
    tokens = read_tokens(str(file), {"HUMOUSE_TOKENS": f"grace={LONG}C, {LONG}D"})
    names = {suffix: tokens.name_of(f"{LONG}{suffix}") for suffix in ("A", "B==", "C", "D", "E", "")}
    assert names == {"A": "ada", "B==": "token-2", "C": "grace", "D": "token-4", "E": None, "": None}


def test_no_text_of_a_token_is_in_the_object() -> None:
    tokens = read_tokens("", {"HUMOUSE_TOKENS": f"ada={LONG}"})
    assert LONG not in repr(tokens) + repr(vars(tokens))


@pytest.mark.parametrize(
    "line", ["short", "name=secret", f"name={LONG[1:]}", f"a b={LONG}", f"ünïcode={LONG}", f"{LONG}é", f"={LONG}"]
)
def test_a_line_that_is_no_token_is_named_by_its_place_and_never_repeated(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{LONG}\n{line}\n")
    with pytest.raises(ConfigError, match=f"tokens, line 2: a token is at least {SHORTEST} of") as error:
        read_tokens(str(file), {})
    assert line not in str(error.value)


def test_a_name_and_a_token_are_given_once() -> None:
    with pytest.raises(ConfigError, match="entry 2: `a name is given once`"):
        read_tokens("", {"HUMOUSE_TOKENS": f"ada={LONG} ada={LONG}B"})
    with pytest.raises(ConfigError, match="entry 2: `a token is given once`") as error:
        read_tokens("", {"HUMOUSE_TOKENS": f"ada={LONG} bob={LONG}"})
    assert LONG not in str(error.value)


def test_a_token_file_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token_file=.*: not a readable file of text \(FileNotFoundError\)"):
        read_tokens(str(tmp_path / "none"), {})
    (tmp_path / "empty").write_text("# nobody\n")
    with pytest.raises(ConfigError, match=r"`one token at least` must hold, but got none"):
        read_tokens(str(tmp_path / "empty"), {})
