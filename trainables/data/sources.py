"""Sources of recordings: which are trained on only, and which come from one laboratory.

Nothing is known of the users behind a source but what its recorder wrote down. Two tables hold what follows for a
split: a source whose groups may share a user is never evaluated, and sources of one laboratory count as one where a
source is left out, since a user may have taken part in two experiments.
"""

from collections.abc import Mapping

TRAINED_ON_ONLY: Mapping[str, str] = {  # source -> why none of its groups is put into an evaluated split
    "cursory": "its groups are session blocks of unnamed users, so that one user may stand in two of them",
}
LABORATORIES: Mapping[str, str] = {  # prefix of the names of sources -> laboratory
    "acta2015_": "number-choice",
    "flanker_": "number-choice",
    "numberline": "number-choice",
}


def laboratory_of(source: str) -> str:
    """Return the laboratory of a source: the source itself unless `LABORATORIES` knows a prefix of its name.

    >>> laboratory_of("flanker_exp2"), laboratory_of("kh2017")
    ('number-choice', 'kh2017')
    """
    return next((name for prefix, name in LABORATORIES.items() if source.startswith(prefix)), source)
