"""Recurrences over the positions of a map: how they are cut into chunks, and what they cost.

A *scan* carries a state from token to token: h[t] = a[t] * h[t - 1] + u[t], element by element. It
is worked out for all tokens of a chunk at once, and then for all chunks in the same way, level by
level (`supernets/_scan.py`). So multiply-adds grow with the tokens, and a file has no loop.

What multiplies states element by element are products of maps, which count nowhere; sums over the
tokens of a chunk, and over the elements of a state, are matrix products, and count as attention's.
"""

import math
from functools import cache

from search_spaces import _layers as layers
from search_spaces._choice import Option, Options
from search_spaces._errors import CandidateError
from search_spaces._slot import Cost

STATE_SIZE = "state_size"
"""The dimension of selective scans: elements of the state of every channel."""

NUM_DIRECTIONS = "num_directions"
"""The dimension of operators that scan a map several times: how often."""

TOKEN_SHARE = "token_share"
"""The dimension of selective scans: the share of the tokens that give the state an input."""

MOST_DIRECTIONS = 4
"""By rows and by columns, forward and backward."""

MOST_CHUNK = 16
"""Tokens of a chunk, as far as tokens can be cut into such."""

ROUNDING = 1e-6
"""Of products of a share and tokens."""

MOST_PRIME = 13
"""Of a number of tokens with a larger prime factor the next one without is taken."""

RANK_CHANNELS, LEAST_RANK = 16, 4
"""Channels of a map for each one of what the steps of a selective scan are made of, and the fewest
of these: the papers' maps have at least 48 channels."""

EXPANSION = 2
"""Channels of a state space block, as multiples of its width."""

UNBIASED_BYTES = 150
"""Of a file: less in fp32, more where integer kernels want a bias of zeros. Measured."""

LEAVING_BYTES = 1350
"""Of a file: leaving tokens out of a selective scan. Measured."""

LEVEL_BYTES, TOP_BYTES = 870, 640
"""Of a file, per level of a recurrence: below others, and the last. Measured."""


@cache
def chunk_lengths(tokens: int) -> tuple[int, ...]:
    """How many are taken together on every level, tokens first, then chunks of them.

    Their product is the number of tokens, or the next one that can be cut so.
    """
    padded = next(n for n in range(tokens, 2 * tokens + 1) if _largest_prime(n) <= MOST_PRIME)
    lengths = []
    while padded > 1:
        together = [length for length in range(2, MOST_CHUNK + 1) if padded % length == 0]
        lengths.append(max(together) if together else _largest_prime(padded))
        padded //= lengths[-1]
    return tuple(lengths) or (1,)


def _largest_prime(number: int) -> int:
    """Factor of a number; 1 of 1."""
    largest, divisor = 1, 2
    while number > 1:
        while number % divisor == 0:
            largest, number = divisor, number // divisor
        divisor += 1
    return largest


def recurrence(tokens: int, states: int, decays: int) -> Cost:
    """One recurrence.

    Args:
        tokens: Steps.
        states: Elements of a state.
        decays: Numbers that one is multiplied by: as many, or fewer that several share.
    """
    lengths, cost = chunk_lengths(tokens), Cost()
    for level, length in enumerate(lengths):
        rows, is_top = math.prod(lengths[level:]), level == len(lengths) - 1
        cost += Cost(
            attention=rows * length * states,
            elements=rows * (6 * decays + 5 * states),
            calls=11 if is_top else 18,
            graph_bytes=TOP_BYTES if is_top else LEVEL_BYTES,
        )
    return cost


def gated_linear_attention(tokens: int, sequences: int, key_dim: int, value_dim: int) -> Cost:
    """Of so many sequences side by side: tokens of a chunk attend to each other and to a state.

    Args:
        tokens: Of each sequence.
        sequences: Heads, of all directions.
        key_dim: Channels of a query, and rows of a state.
        value_dim: Channels of a value, and columns of a state.
    """
    lengths = chunk_lengths(tokens)
    rows, length, chunks = math.prod(lengths), lengths[0], math.prod(lengths[1:])
    states = key_dim * value_dim
    within = length * (key_dim + value_dim)
    across = 2 * states if chunks > 1 else 0
    cost = Cost(
        attention=sequences * rows * (within + across),
        elements=sequences * rows * (6 * key_dim + 2 * length + 2 * value_dim),
        calls=14,
        graph_bytes=420,
    )
    if chunks > 1:
        carried = recurrence(chunks, sequences * states, sequences * key_dim)
        cost += carried + layers.nodes(9)
    return cost


def selective_scan(
    tokens: int,
    sequences: int,
    channels: int,
    states: int,
    rank: int,
    *,
    copies: int = 1,
    share: Option = 1,
) -> Cost:
    """Scans whose decays and inputs follow from the tokens.

    Layers see all tokens, since what is left out still says how fast the state decays.

    Args:
        tokens: Of each sequence.
        sequences: Each has parameters of its own.
        channels: Of a token.
        states: Of each channel.
        rank: Channels that the steps are made of.
        copies: Sequences that share parameters.
        share: Of the tokens that give the state an input.
    """
    scanned = num_scanned(tokens, share)
    n, m, all_channels = copies * tokens, copies * scanned, sequences * channels
    cost = Cost(
        attention=m * all_channels * states,
        params=all_channels * (states + 2),
        vectors=all_channels * (states + 2),
        elements=m * all_channels * 3 * states + n * all_channels * 6,
        calls=13,
        graph_bytes=800,
    )
    if scanned < tokens:
        cost += Cost(
            elements=n * all_channels * 9 + m * all_channels * 12,
            calls=22,
            graph_bytes=LEAVING_BYTES,
        )
    for _ in range(sequences):
        cost += unbiased(n, channels, rank + 2 * states) + unbiased(n, rank, channels)
        cost += Cost(quantizers=2, graph_bytes=110)
    own = recurrence(scanned, all_channels * states, all_channels * states)
    return cost + own._replace(attention=copies * own.attention, elements=copies * own.elements)


def state_space(n: int, width: int, inner: int) -> Cost:
    """What stands around the scans of a block: expansion, gate, projection."""
    return (
        unbiased(n, width, 2 * inner)
        + layers.pointwise(n, inner, calls=4, quantizers=2)
        + layers.nodes(1)
        + unbiased(n, inner, width)
    )


def unbiased(n: int, in_width: int, width: int) -> Cost:
    """Linear layer without bias."""
    weights = in_width * width
    return (
        layers.layer(n, weights, width, graph_bytes=UNBIASED_BYTES)
        + layers.grouped(n, in_width, weights)
        + layers.matrix(n, in_width, width)
    )


def step_rank(width: int) -> int:
    """Channels that the steps of a selective scan are made of, on a map of this width."""
    return max(LEAST_RANK, -(-width // RANK_CHANNELS))


def num_directions(operator: str, pick: Options) -> int:
    """How many directions a pick asks for.

    Raises:
        CandidateError: If there are not so many.
    """
    directions = pick.number(NUM_DIRECTIONS)
    if not 1 <= directions <= MOST_DIRECTIONS:
        raise CandidateError(
            f"operator '{operator}' has {directions} directions. It can have 1 to "
            f"{MOST_DIRECTIONS}. Offer these."
        )
    return directions


def num_scanned(tokens: int, share: Option) -> int:
    """How many of the tokens give the state an input: the next number that needs no padding."""
    assert isinstance(share, int | float)
    wanted = max(1, math.ceil(tokens * share - ROUNDING))
    return min(tokens, math.prod(chunk_lengths(wanted)))


def token_share(operator: str, pick: Options, tokens: int) -> Option:
    """The share of so many tokens that a pick asks for, as it is realised.

    Raises:
        CandidateError: If it is none of them, or more than there are.
    """
    share = pick[TOKEN_SHARE]
    if not isinstance(share, int | float) or not 0 < share <= 1:
        raise CandidateError(
            f"operator '{operator}' scans a share of {share} of its tokens. It can scan a share "
            "above 0 and up to 1. Offer these."
        )
    scanned = num_scanned(tokens, share)
    return 1 if scanned == tokens else scanned / tokens
