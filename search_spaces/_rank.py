"""Low rank: a layer as two, of which the first makes few values and the second reads them.

A rank is a share of the full one, such as "1/2", or "full" for the layer as it is. A convolution's
matrix has a row per output and a column per input and position of the kernel, so the first of the
two has its kernel and the second none.
"""

import re
from fractions import Fraction

from search_spaces._errors import UserError
from search_spaces._slot import FULL_RANK, PATTERN_GROUP

SHARE = re.compile(r"(\d{1,4})/(\d{1,4})", re.ASCII)


def rank_of(rows: int, columns: int, rank: str) -> int | None:
    """Values between the two layers in place of one.

    Args:
        rows: Of its matrix.
        columns: Likewise.
        rank: Of the slot.

    Returns:
        A whole number of groups, which sparsity patterns take; None if the layer stays, because two
        would multiply as much.
    """
    if rank == FULL_RANK:
        return None
    groups = int(min(rows, columns) * share_of(rank)) // PATTERN_GROUP
    found = max(1, groups) * PATTERN_GROUP
    return found if found * (rows + columns) < rows * columns else None


def share_of(rank: str) -> Fraction:
    """Of the full rank.

    Raises:
        UserError: If it is no rank.
    """
    match = SHARE.fullmatch(rank)
    if rank == FULL_RANK:
        return Fraction(1)
    if match is None or not 0 < int(match[1]) < int(match[2]):
        raise UserError(
            f"rank '{rank}' is no share of the full one. "
            f"Ranks are '{FULL_RANK}' and shares between 0 and 1. Try --rank {FULL_RANK},1/2,1/4"
        )
    return Fraction(int(match[1]), int(match[2]))


def check_ranks(names: tuple[str, ...]) -> None:
    """Refuse what is no rank, and lists without the full one, which is what learns.

    Raises:
        UserError: Naming the first one, or saying what to add.
    """
    for name in names:
        share_of(name)
    if not names or names[0] != FULL_RANK:
        raise UserError(
            f"rank {list(names)} does not begin with '{FULL_RANK}', which is what is trained and "
            f"compared with. Give --rank {','.join(dict.fromkeys((FULL_RANK, *names)))}."
        )
