"""Images of which nobody says what they are: all files with an image's suffix below a folder.

They are brought to the size, the colours and the values of a data set that has labels. Folders may
have any names and lie as deep as they like; links to folders are not followed, and neither hidden
files nor those of other suffixes are looked at. Sorted by path, so they are the same ones in the
same order wherever they are read.

A teacher says what they are. Source: Chen et al., Big Self-Supervised Models are Strong
Semi-Supervised Learners (2020), section 2, the third step: a large network that was fine-tuned on
few labels is distilled to a small one on images without labels. Departures: of the three steps this
one; the images with labels are among those that the teacher answers for; temperature 1.

Shape suffixes: N images, C channels, H W pixels.
"""

import math
import os
from functools import partial
from pathlib import Path

import numpy as np

from nas.data._base import DataSet, Progress, UInt8Array
from nas.data._damaged import or_damage
from nas.data._decode import decode
from nas.data._files import DamagedError, readable, refuse_damaged
from nas.data._parallel import Named, in_parallel
from nas.data.image_folder import SUFFIXES
from search_spaces import UserError

DECODED_CHANNELS = (1, 3)


def read_unlabelled(
    folder: Path, like: DataSet, *, held_gb: float, skip_corrupt: bool, progress: Progress
) -> UInt8Array:
    """Decode all images below a folder, (N, C, H, W).

    Args:
        folder: Of images.
        like: The data set whose size, colours and values they get.
        held_gb: Size of all of them, decoded, in 10^9 bytes, that is refused.
        skip_corrupt: Whether images that cannot be read are left out.
        progress: Told how many are decoded.

    Raises:
        UserError: If there is no image, they are too many, or one cannot be read.
    """
    if like.channels not in DECODED_CHANNELS:
        raise UserError(
            f"data '{like.name}' has {like.channels} channels, and image files have 1 or 3. Leave "
            "out --unlabelled."
        )
    names = image_files(folder)
    shape = (len(names), like.channels, *like.sides)
    if math.prod(shape) > held_gb * 1e9:
        raise UserError(
            f"unlabelled '{folder}' has {len(names):,} images, {math.prod(shape) / 1e9:.3g} GB "
            f"decoded, and all must be held in memory. Name a folder of less than {held_gb:g} GB."
        )
    images_NCHW = np.empty(shape, np.uint8)
    is_read_N = np.ones(len(names), bool)
    read = partial(
        decode, is_grey=like.channels == 1, resolution=like.resolution, ranges=like.ranges
    )

    def work(start: int, images: list[Named]) -> list[DamagedError]:
        wrong = []
        for place, (where, content) in enumerate(images, start):
            found = or_damage(partial(read, content, where))
            if isinstance(found, DamagedError):
                wrong.append(found)
                is_read_N[place] = False
            else:
                images_NCHW[place] = found
        return wrong

    damaged: list[DamagedError] = []
    done = 0
    for size, wrong in in_parallel(work, ((name, name) for name in names)):
        damaged += wrong
        done += size
        progress(done, len(names), "images without labels decoded")
    if not skip_corrupt:
        refuse_damaged(damaged, folder)
    return images_NCHW[is_read_N]


def image_files(folder: Path) -> list[str]:
    """Paths of the images below a folder, sorted.

    Raises:
        UserError: If it is no folder, or has none.
    """
    if not folder.is_dir():
        raise UserError(
            f"unlabelled '{folder}' is not a folder. Name one that has images in it, or in folders "
            "of any names."
        )
    found = []
    with readable(folder):
        for place, folders, files in os.walk(folder, onerror=_raise):
            folders[:] = [name for name in folders if not name.startswith((".", "__MACOSX"))]
            found += [
                os.path.join(place, name)
                for name in files
                if not name.startswith(".") and os.path.splitext(name)[1].lower() in SUFFIXES
            ]
    if not found:
        raise UserError(
            f"unlabelled '{folder}' has no image ({', '.join(SUFFIXES[:7])}, ...). Name a folder "
            "that has some, in itself or in folders below."
        )
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error
