"""Seeds of independent random streams by name, without torch."""

import hashlib


def derive(seed: int, *names: str | int) -> int:
    """A 63-bit seed for the stream `names` of `seed`: the head of BLAKE2b over their text.

    >>> derive(0, "shuffle") == derive(0, "shuffle") != derive(0, "noise")
    True
    """
    text = "/".join([str(seed), *(str(name) for name in names)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1
