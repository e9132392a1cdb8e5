"""What options may be, by what they decide: the same in every space and for every operator."""

import math
from collections.abc import Mapping

from search_spaces._errors import UserError

NUMBERS: Mapping[str, range] = {
    "width": range(1, 16_385),
    "depth": range(1, 65),
    "head_dim": range(1, 1025),
    "kernel_size": range(1, 256, 2),
    "expand_ratio": range(1, 65),
    "num_heads": range(1, 257),
    "sr_ratio": range(1, 257),
    "dilation": range(1, 257),
    "window_stride": range(1, 257),
    "halo": range(257),
    "stripe_width": range(1, 257),
    "eca": range(2),
    "attention": range(2),
    "depthwise": range(2),
    "growth": range(1, 4097),
    "group_size": range(1, 257),
    "num_modes": range(1, 257),
    "state_size": range(1, 257),
    "num_directions": range(1, 5),
    "num_latents": range(2, 257),
    "block_size": range(1, 257),
    "num_elements": range(1, 65_026),
    "num_bands": range(1, 257),
    "num_convs": range(1, 257),
    "num_streams": range(1, 257),
    "order": range(1, 257),
    "details": range(5),
    "repeats": range(1, 9),
    "num_groups": range(1, 257),
    "columns": range(1, 17),
    "tokens_per_cluster": range(1, 257),
    "cluster_after": range(64),
}
POSITIVE: Mapping[str, float] = {"density": 1e3, "scale": 1e3, "token_share": 1.0}
"""Numbers above 0, whole or not, and the largest.

Other dimensions are a plug-in's own: any numbers, or words."""


def check_options(choice: str, options: object) -> None:
    """Refuse options with which no network can be built.

    Args:
        choice: Its name, which ends in that of the dimension.
        options: As a space file has them.

    Raises:
        UserError: Naming the choice, what it offers and what is allowed.
    """
    dim = choice.rpartition(".")[2]
    numbers, largest, what = NUMBERS.get(dim), POSITIVE.get(dim), allowed(dim)
    if not isinstance(options, tuple | list) or not options:
        raise UserError(f"{choice} offers {options!r:.40}. It must be a tuple of {what}.")
    for option in options:
        is_number = type(option) in (int, float) and math.isfinite(option)
        is_right = is_number or isinstance(option, str)
        if numbers is not None:
            is_right = type(option) is int and option in numbers
        elif largest is not None:
            is_right = is_number and 0 < option <= largest
        if not is_right:
            raise UserError(f"{choice} offers {option!r:.40}. Allowed: {what}. Offer these.")


def allowed(dim: str) -> str:
    """What options of a dimension may be, in words."""
    numbers, largest = NUMBERS.get(dim), POSITIVE.get(dim)
    if largest is not None:
        return f"numbers above 0 and up to {largest:g}"
    if numbers is None:
        return "finite numbers or words"
    odd = "odd " if numbers.step == 2 else ""
    return f"{odd}whole numbers from {numbers[0]} to {numbers[-1]}"
