"""The names of choices, which configurations check without importing what is chosen, are the keys of those dicts."""

from collections.abc import Iterable

import pytest

import trainables.data.config
from trainables.data.recordings import READERS
from trainables.data.representation import REPRESENTATIONS

CHOICES: dict[str, tuple[Iterable[str], Iterable[str]]] = {
    "sources of recordings": (trainables.data.config.SOURCES, READERS),
    "representations": (trainables.data.config.FORMS, REPRESENTATIONS),
}


@pytest.mark.parametrize("choice", CHOICES)
def test_the_names_of_a_choice_are_its_functions(choice: str) -> None:
    names, functions = CHOICES[choice]
    assert list(names) == list(functions)
