"""What may stand on an edge of a cell: an operator with its kernel size, as one word."""

from search_spaces._choice import Option
from search_spaces._dimensions import check_options
from search_spaces._errors import UserError
from search_spaces.operators._base import OPERATORS


def operator_of(operation: str) -> tuple[str, dict[str, Option]]:
    """An operation's operator, and the options that it reads: "sepconv" and 5 of "sepconv-5"."""
    name, _, kernel_size = operation.rpartition("-")
    if name and kernel_size.isdecimal():
        return name, {"kernel_size": int(kernel_size)}
    return operation, {}


def check_operation(operation: str) -> None:
    """Refuse what cannot stand on an edge.

    Raises:
        UserError: Saying why.
    """
    name, options = operator_of(operation)
    rule = OPERATORS.get(name)
    for option in options.values():
        check_options(f"operation '{operation}'.kernel_size", (option,))
    missing = [dim for dim in rule.dims if dim not in rule.defaults and dim not in options]
    unread = [dim for dim in options if dim not in rule.dims]
    if missing or unread:
        what = f"reads {missing[0]}, which nothing says" if missing else "reads no kernel size"
        raise UserError(
            f"operation '{operation}' of a cell: operator '{name}' {what}. An operation is the "
            "name of an operator that reads at most a kernel size, with that behind it, such as "
            "'sepconv-5' or 'maxpool'."
        )
