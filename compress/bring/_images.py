"""Which images the network of a file is for."""

from collections.abc import Sequence
from pathlib import Path

from search_spaces import UserError


def refuse_other_images(
    path: Path, sizes: Sequence[int], *, channels: int, resolution: int
) -> None:
    """Refuses images that a file says it is not for.

    Args:
        path: Of the file.
        sizes: What it says: channels, height and width in pixels, 0 where any will do.
        channels: Of the images.
        resolution: Side of the images, pixels.

    Raises:
        UserError: If it is for others.
    """
    own_channels, height, width = sizes
    if height != width:
        raise UserError(
            f"model '{path}' reads images of {height} x {width} px. Bring one for square images: "
            "data is read as squares."
        )
    if own_channels and own_channels != channels:
        raise UserError(
            f"model '{path}' reads images of {own_channels} channels, and the data has {channels}. "
            "Give data of its kind."
        )
    if height and height != resolution:
        raise UserError(
            f"model '{path}' reads images of {height} px, and they have {resolution}. Leave out "
            f"--resolution, or give --resolution {height}."
        )
