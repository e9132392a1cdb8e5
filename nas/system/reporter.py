"""Where a search says what it is doing."""

from typing import Protocol, final


class Reporter(Protocol):
    """Where progress goes; the command line draws bars or prints lines."""

    def phase(self, name: str, text: str) -> None:
        """A phase begins."""

    def advance(self, done: int, of: int, text: str = "") -> None:
        """So much of the current phase is done."""

    def note(self, text: str) -> None:
        """Something the user should know."""


@final
class Silent:
    """A reporter that nobody listens to."""

    def phase(self, name: str, text: str) -> None:
        """Says nothing."""

    def advance(self, done: int, of: int, text: str = "") -> None:
        """Says nothing."""

    def note(self, text: str) -> None:
        """Says nothing."""
