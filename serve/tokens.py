"""Bearer tokens: read from a file or the environment, held as hashes, compared in constant time, known by name.

One token a line (in the variable: between commas or blanks), with `name=` before it where logs shall name it; empty
lines and lines that begin with # do not count. The text of a token is in no object, message or log of the service.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from serve.settings import is_loopback
from trainables.core.config import ConfigError, require

VARIABLE = "HUMOUSE_TOKENS"
SHORTEST = 16  # characters: 96 bits where they were drawn by chance
LINE = re.compile(rf"(?:(?P<name>[A-Za-z0-9_.-]{{1,40}})=)?(?P<token>[A-Za-z0-9._~+/-]{{{SHORTEST},}}=*)")
LAW = f"a token is at least {SHORTEST} of A-Z a-z 0-9 . _ ~ + / - (RFC 6750), with `name=` before it or without"


@dataclass(frozen=True)
class Tokens:
    """Who may ask: names, with the SHA-256 of their tokens."""

    digests: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.digests)

    def name_of(self, token: str) -> str | None:
        """Whose token it is; every known one is compared, so that the time tells nothing."""
        given, found = _digest(token), None
        for name, known in self.digests.items():
            if hmac.compare_digest(given, known):
                found = name
        return found


def read_tokens(file: str, environment: Mapping[str, str]) -> Tokens:
    """The tokens of a file ("": there is none) and of the variable HUMOUSE_TOKENS together.

    Raises:
        ConfigError: a file that cannot be read or holds no token, a line that is none, a name or token given twice.
    """
    digests: dict[str, bytes] = {}
    for place, text in (*_lines_of_file(file), *_lines_of_variable(environment.get(VARIABLE, ""))):
        match = LINE.fullmatch(text)
        if match is None:
            raise ConfigError(f"{place}: {LAW}; what stands there is none")
        name, digest = match["name"] or f"token-{len(digests) + 1}", _digest(match["token"])
        require(name not in digests, f"{place}: `a name is given once`", name)
        require(digest not in digests.values(), f"{place}: `a token is given once`", f"that of {name} again")
        digests[name] = digest
    return Tokens(digests)


def require_guarded(host: str, tokens: Tokens) -> None:
    """Raise `ConfigError` where others than this machine could ask and nobody would be asked for a token."""
    law = "`a host that other machines reach needs a token`"
    remedy = f"set token_file=FILE or the variable {VARIABLE}, or host=127.0.0.1"
    require(is_loopback(host) or len(tokens) > 0, law, f"host={host} without one", remedy)


def _lines_of_file(file: str) -> list[tuple[str, str]]:
    if not file:
        return []
    try:
        lines = Path(file).expanduser().read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"token_file={file}: not a readable file of text ({type(error).__name__})") from None
    numbered = [(f"{file}, line {number}", line.strip()) for number, line in enumerate(lines, start=1)]
    found = [(place, line) for place, line in numbered if line and not line.startswith("#")]
    require(len(found) > 0, f"token_file={file}: `one token at least`", "none")
    return found


def _lines_of_variable(text: str) -> list[tuple[str, str]]:
    return [(f"{VARIABLE}, entry {number}", word) for number, word in enumerate(re.findall(r"[^\s,]+", text), start=1)]


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="surrogateescape")).digest()
