"""Square blocks that weights of linear layers are cut into, for sparsity patterns of blocks."""

from search_spaces._slot import PATTERN_GROUP

BLOCK_SIDE = 32
"""Outputs of a block, and inputs: a tile in which matrix products are carried out."""


def has_blocks(in_width: int, width: int) -> bool:
    """Whether a linear layer is whole blocks, of which a quarter is a whole number."""
    if in_width % BLOCK_SIDE or width % BLOCK_SIDE:
        return False
    return (in_width // BLOCK_SIDE) * (width // BLOCK_SIDE) % PATTERN_GROUP == 0
