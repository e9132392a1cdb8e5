"""The two kinds of failure that are not bugs.

Everything else that is raised is a bug and stops the run with a traceback.
"""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """What a user wrote cannot be done: shown as one message, exit code 2."""


class CandidateError(Exception):
    """What a candidate cannot do: recorded as a failed trial, the search continues."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The sentence that lists what is allowed and names the closest spelling, if any is close."""
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    suggestion = f" Did you mean '{close[0]}'?" if close else ""
    return f"Known: {', '.join(names)}.{suggestion}"
