"""Every augmentation keeps its contract."""

from collections.abc import Callable
from operator import attrgetter

import pytest

from nas.testing.augmentations import CHECKS
from supernets.augmentations import AUGMENTATIONS


@pytest.mark.parametrize("name", AUGMENTATIONS.names())
@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_any_augmentation(name: str, check: Callable[[str], None]) -> None:
    check(name)
