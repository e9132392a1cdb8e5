"""Where a search says what it is doing."""

from typing import Protocol


class Reporter(Protocol):
    """Where progress goes; the command line draws bars or prints lines."""

    def phase(self, name: str, text: str) -> None:
        """A phase begins."""

    def advance(self, done: int, of: int, text: str = "") -> None:
        """So much of the current phase is done."""

    def note(self, text: str) -> None:
        """Something the user should know."""
