"""Checks of a plug-in by its name, made of checks of what the name stands for."""

from collections.abc import Callable, Iterable
from functools import wraps
from typing import Any


def by_name(
    check: Callable[..., None], examples: Callable[[str], Iterable[tuple[Any, ...]]]
) -> Callable[[str], None]:
    """A check that runs another one on every example, called and described like that one.

    Args:
        check: Takes one example.
        examples: Of a plug-in's name, each as the check's arguments.
    """

    @wraps(check)
    def checked(name: str) -> None:
        for example in examples(name):
            check(*example)

    return checked
