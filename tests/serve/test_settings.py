import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

from serve.settings import BatchConfig, LimitsConfig, ReplicasConfig, ServeConfig, is_loopback
from serve.tokens import MIN_CHARS, Tokens, read_tokens, require_token_unless_loopback
from trainables.core.config import ConfigError, build, plain

LONG = "0123456789abcdef"


def test_the_defaults_are_valid_and_survive_a_round_trip() -> None:
    assert build(ServeConfig, plain(ServeConfig())) == ServeConfig()


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(LimitsConfig)])
def test_every_limit_is_at_least_1(name: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"expected `{name} >= 1`, but got {name}=0")):
        LimitsConfig(**{name: 0})


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"storage_path": ""}, "`storage_path` to be a folder"),
        ({"champion": "../../etc"}, "`champion` to be an id such as 0003-9f86d081884c, or empty"),
        ({"host": ""}, "`host` to be an address"),
        ({"port": 65536}, "`0 <= port < 65536`"),
        ({"port": -1}, "`0 <= port < 65536`"),
        ({"quota": 4095}, "`quota = 0` or `quota >= limits.n`"),
        ({"quota": -1}, "`quota >= 0`"),
        ({"queue": 0}, "`queue >= 1`"),
        ({"timeout_s": 0.0}, "`0 < timeout_s < inf`"),
        ({"timeout_s": float("nan")}, "`0 < timeout_s < inf`"),
        ({"max_stored_batches": 0}, "`max_stored_batches >= 1`"),
        ({"max_store_bytes": 9_999_999}, "`max_store_bytes >= 10 limits.body_bytes`"),
        ({"limits": {"n": 100}}, "`limits.json_n <= limits.n`"),
        ({"batch": {"rows": 0}}, "`rows >= 1`"),
        ({"batch": {"wait_fraction": 1.5}}, "`0 <= wait_fraction <= 1`"),
        ({"replicas": {"minimum": 3}}, "`replicas.minimum <= replicas.maximum`"),
        ({"replicas": {"threads": 0}}, "`threads >= 1`"),
    ],
)
def test_a_value_out_of_bounds_is_named_with_its_bound(values: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(f"expected {law}, but got")):
        build(ServeConfig, values)


def test_nested_configurations_have_valid_defaults() -> None:
    assert BatchConfig().rows >= 1
    assert ReplicasConfig().minimum == 1


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_loopback_address_needs_no_token(host: str) -> None:
    assert is_loopback(host)
    require_token_unless_loopback(host, Tokens())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "serve.example.org", "localhost.example.org", ""])
def test_any_other_address_is_refused_without_a_token_and_accepted_with_one(host: str) -> None:
    with pytest.raises(ConfigError, match=re.escape("a token for a host that other machines can reach")):
        require_token_unless_loopback(host, Tokens())
    require_token_unless_loopback(host, read_tokens("", {"HUMOUSE_TOKENS": LONG}))


def test_tokens_of_the_file_and_of_the_environment_have_names(tmp_path: Path) -> None:
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
def test_a_malformed_token_is_reported_by_its_place_and_never_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / "tokens"
    file.write_text(f"{LONG}\n{line}\n")
    with pytest.raises(
        ConfigError, match=f"tokens, line 2: invalid token format; expected at least {MIN_CHARS} characters"
    ) as error:
        read_tokens(str(file), {})
    assert line not in str(error.value)


def test_a_repeated_name_or_token_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"each token name once, but got ada again \(HUMOUSE_TOKENS, entry 2\)"):
        read_tokens("", {"HUMOUSE_TOKENS": f"ada={LONG} ada={LONG}B"})
    with pytest.raises(
        ConfigError, match=r"each token once, but got the same one again \(HUMOUSE_TOKENS, entry 2\)"
    ) as error:
        read_tokens("", {"HUMOUSE_TOKENS": f"ada={LONG} bob={LONG}"})
    assert LONG not in str(error.value)


def test_a_token_file_that_is_missing_or_empty_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"token_file=.*: not a readable text file \(FileNotFoundError\)"):
        read_tokens(str(tmp_path / "none"), {})
    (tmp_path / "empty").write_text("# no token\n")
    with pytest.raises(
        ConfigError, match=r"expected at least one token in the token file, but got none in token_file="
    ):
        read_tokens(str(tmp_path / "empty"), {})
