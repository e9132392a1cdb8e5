"""The two kinds of failure that are not bugs.

Everything else that is raised is a bug and stops the run with a traceback.
"""

import difflib
import math
from collections.abc import Iterable


class UserError(ValueError):
    """What a user wrote cannot be done: shown as one message, exit code 2."""


class CandidateError(Exception):
    """What a candidate cannot do: recorded as a failed trial, the search continues."""


def did_you_mean(word: str, known: Iterable[str], *, is_ordered: bool = False) -> str:
    """The sentence that lists what is allowed and names the closest spelling, if any is close.

    Args:
        word: What the user wrote.
        known: What is allowed.
        is_ordered: Whether the order of these says something; else they are sorted.
    """
    names = list(known) if is_ordered else sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    suggestion = f" Did you mean '{close[0]}'?" if close else ""
    return f"Known: {', '.join(names)}.{suggestion}"


def some_of(names: Iterable[object], most: int = 5) -> str:
    """The first few names with commas between them, and how many more there are."""
    found = list(map(str, names))
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


def check_ranges(plugin: object, what: str, **ranges: tuple[float, float]) -> None:
    """Refuse hyper-parameters out of range, and those that are not numbers.

    Args:
        plugin: Its fields are looked at.
        what: Its kind and name, such as "controller 'random'".
        ranges: Lowest and highest value by field; both are allowed.

    Raises:
        UserError: Naming the field, what was found and what is allowed.
    """
    for field, (lowest, highest) in ranges.items():
        value = getattr(plugin, field)
        if not lowest <= value <= highest:
            most = f" and at most {highest:g}" if math.isfinite(highest) else ""
            raise UserError(
                f"{what}: {field} is {value}. It must be at least {lowest:g}{most}. Change it."
            )
