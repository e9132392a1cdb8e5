"""What may stand on an edge of a cell, or in a column: an operator with its options, as one word.

A kernel size stands behind a dash, other options behind a colon each: "maxpool", "sepconv-5",
"mbconv-3:expand_ratio=4".
"""

from contextlib import suppress

from search_spaces._choice import Option
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError
from search_spaces.operators._base import OPERATORS


def operator_of(operation: str) -> tuple[str, dict[str, Option]]:
    """An operation's operator, and the options that it reads: "sepconv" and 5 of "sepconv-5"."""
    head, *given = operation.split(":")
    name, _, kernel_size = head.rpartition("-")
    options: dict[str, Option] = {}
    if name and kernel_size.isdecimal():
        options["kernel_size"] = int(kernel_size)
    else:
        name = head
    for dim, _, value in (text.partition("=") for text in given):
        options[dim] = _option(value)
    return name, options


def check_operation(operation: str) -> None:
    """Refuse what cannot stand there.

    Raises:
        UserError: Saying why.
    """
    name, options = operator_of(operation)
    rule = OPERATORS.get(name)
    missing = [dim for dim in rule.dims if dim not in rule.defaults and dim not in options]
    unread = [dim for dim in options if dim not in rule.dims]
    what = f"reads no {unread[0].replace('_', ' ')}" if unread else ""
    what = f"reads {missing[0]}, which nothing says" if missing else what
    for dim, option in options.items():
        words = rule.words.get(dim)
        if words is not None and option not in words:
            what = what or f"has no {dim} '{option}'; it has {', '.join(words)}"
        if not what:
            check_options(f"operation '{operation}'.{dim}", (option,))
    if what:
        raise UserError(
            f"operation '{operation:.80}': operator '{name}' {what}. An operation is the name of "
            "an operator with a kernel size behind it and other options behind that, where it "
            "reads some, such as 'maxpool', 'sepconv-5' or 'mbconv-3:expand_ratio=4'."
        )


def _option(text: str) -> Option:
    """A number where it is one, else a word."""
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text
