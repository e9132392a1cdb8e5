"""Where a search says what it is doing."""

from dataclasses import dataclass
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


@final
@dataclass(frozen=True)
class Part:
    """Reports the progress of one of several equal parts of a phase as the phase's.

    Attributes:
        whole: Told about the phase.
        number: Of this part, from 0.
        parts: How many there are.
    """

    whole: Reporter
    number: int
    parts: int

    def phase(self, name: str, text: str) -> None:
        """Begins another phase."""
        self.whole.phase(name, text)

    def advance(self, done: int, of: int, text: str = "") -> None:
        """So much of this part is done."""
        self.whole.advance(self.number * of + done, self.parts * of, text)

    def note(self, text: str) -> None:
        """Something the user should know."""
        self.whole.note(text)
