"""Bearer tokens: read from a file or the environment, stored as hashes, compared in constant time, known by name.

One token per line (in the variable: separated by commas or whitespace), optionally as `name=token`, where the name goes
to the logs; empty lines and lines that start with # are ignored. No object, message or log of the service contains the
text of a token.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serve.settings import is_loopback
from trainables.core.config import ConfigError, require

TOKENS_VARIABLE = "HUMOUSE_TOKENS"
MIN_CHARS = 16  # 96 bits for a random token
LINE = re.compile(rf"(?:(?P<name>[A-Za-z0-9_.-]{{1,40}})=)?(?P<token>[A-Za-z0-9._~+/-]{{{MIN_CHARS},}}=*)")
SYNTAX = f"at least {MIN_CHARS} characters of A-Z a-z 0-9 . _ ~ + / - (RFC 6750), optionally after `name=`"


@dataclass(frozen=True)
class Tokens:
    """SHA-256 of each accepted token, by the name of its owner."""

    digests: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.digests)

    def name_of(self, token: str) -> str | None:
        """Return the name of a token, None for an unknown one; all are compared, so that timing leaks nothing."""
        given, found = _digest(token), None
        for name, known in self.digests.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def read_tokens(file: str, environment: Mapping[str, str]) -> Tokens:
    """Read the tokens of a file ("": no file) and of the variable HUMOUSE_TOKENS.

    Raises:
        ConfigError: the file cannot be read or holds no token, a line is malformed, or a name or token is repeated.
    """
    digests: dict[str, bytes] = {}
    for place, text in (*_lines_of_file(file), *_lines_of_variable(environment.get(TOKENS_VARIABLE, ""))):
        match = LINE.fullmatch(text)
        if match is None:
            raise ConfigError(f"{place}: invalid token format; expected {SYNTAX}")
        name, digest = match["name"] or f"token-{len(digests) + 1}", _digest(match["token"])
        require(name not in digests, "each token name once", f"{name} again ({place})")
        require(digest not in digests.values(), "each token once", f"the same one again ({place})")
        digests[name] = digest
    return Tokens(digests)


def require_token_unless_loopback(host: str, tokens: Tokens) -> None:
    """Raise `ConfigError` where other machines could send requests and no token is configured."""
    law = "a token for a host that other machines can reach"
    remedy = f"set token_file=FILE or the variable {TOKENS_VARIABLE}, or host=127.0.0.1"
    require(is_loopback(host) or len(tokens) > 0, law, f"host={host} without one", remedy)


def _lines_of_file(file: str) -> list[tuple[str, str]]:
    if not file:
        return []
    try:
        lines = Path(file).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token_file={file}: not a readable text file ({type(error).__name__})") from None
    numbered = [(f"{file}, line {number}", line.strip()) for number, line in enumerate(lines, start=1)]
    found = [(place, line) for place, line in numbered if line and not line.startswith("#")]
    require(len(found) > 0, "at least one token in the token file", f"none in token_file={file}")
    return found


def _lines_of_variable(text: str) -> list[tuple[str, str]]:
    words = re.findall(r"[^\s,]+", text)
    return [(f"{TOKENS_VARIABLE}, entry {number}", word) for number, word in enumerate(words, start=1)]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
