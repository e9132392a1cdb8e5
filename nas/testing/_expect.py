"""How checks fail: by an AssertionError that says what was expected and what was found."""

import re
from collections.abc import Container, Iterator
from contextlib import contextmanager


def require(condition: object, message: str) -> None:
    """Raise if a condition does not hold.

    Raises:
        AssertionError: With the message, also where Python leaves out assertions.
    """
    if not condition:
        raise AssertionError(message)


def require_implemented(kind: str, name: str, implemented: Container[str], registry: str) -> None:
    """Raise if what is declared is not implemented.

    Args:
        kind: Such as "norm".
        name: Of the declaration.
        implemented: Names of implementations.
        registry: What theirs is called.

    Raises:
        AssertionError: With what to do.
    """
    require(
        name in implemented,
        f"{kind} '{name}' is declared and not implemented: the same file must register an "
        f"implementation in {registry}",
    )


@contextmanager
def refused(what: str, kind: type[Exception], pattern: str = "") -> Iterator[None]:
    """In this context an exception of the kind must be raised whose text has the pattern.

    Raises:
        AssertionError: If there is none.
    """
    try:
        yield
    except kind as error:
        require(
            re.search(pattern, str(error)),
            f"{what}: {kind.__name__} says '{error}', which does not have '{pattern}'",
        )
        return
    raise AssertionError(f"{what}: must raise {kind.__name__}, and nothing was raised")
