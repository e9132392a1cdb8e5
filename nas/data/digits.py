"""scikit-learn's handwritten digits at 32 pixels: the quickest data set, for tests and tours.

Saturated: the smallest network reaches 97 % within seconds, and one image of search is 0.28
points. Use `digit-pairs` to compare networks.
"""

from pathlib import Path
from typing import final

import numpy as np

from nas.data._base import DATA, AbstractData, DataSet, Request, Split
from nas.data._digits import (
    ORIGIN,
    SOURCE_RESOLUTION,
    source_splits,
    warn_that_data_dir_is_ignored,
)
from nas.data._resize import resize, resize_rule
from search_spaces import read_sides

DEFAULT_RESOLUTION = 32


@final
@DATA.register
class Digits(AbstractData):
    """Ten classes, 1,079 / 359 / 359 images for train / search / test."""

    def load(self, request: Request) -> DataSet:
        """Deal out the digits by seed and enlarge them."""
        warn_that_data_dir_is_ignored("digits", request.data_dir)
        size = request.resolution or DEFAULT_RESOLUTION
        train, search, test = (
            Split(resize(split.images_NCHW, size), split.labels_N)
            for split in source_splits(np.random.default_rng(request.seed))
        )
        return DataSet.of_splits(
            "digits",
            tuple("0123456789"),
            can_flip=False,
            crop_padding=min(read_sides(size)) // 16,
            resize=resize_rule(SOURCE_RESOLUTION, size),
            train=train,
            search=search,
            test=test,
        )

    def where(self, data_dir: Path | None) -> str:
        """See `AbstractData.where`."""
        return ORIGIN
