"""Which images the network of a file is for."""

from collections.abc import Sequence
from pathlib import Path

from search_spaces import Resolution, UserError, read_sides, written_sides


def refuse_other_images(
    path: Path, sizes: Sequence[int], *, channels: int, resolution: Resolution
) -> None:
    """Refuses images that a file says it is not for.

    Args:
        path: Of the file.
        sizes: What it says: channels, height and width in pixels, 0 where any will do.
        channels: Of the images.
        resolution: Height and width of the images in pixels, as they are written.

    Raises:
        UserError: If it is for others.
    """
    own_channels, *own = sizes
    if own_channels and own_channels != channels:
        raise UserError(
            f"model '{path}' reads images of {own_channels} channels, and the data has {channels}. "
            "Give data of its kind."
        )
    wanted = [side or given for side, given in zip(own, read_sides(resolution), strict=True)]
    size = written_sides((wanted[0], wanted[1]))
    if size != resolution:
        raise UserError(
            f"model '{path}' reads images of {size} px, and they have {resolution}. "
            f"{'Leave out --resolution, or give' if all(own) else 'Give'} --resolution {size}."
        )
