"""What of a network's maps is compared with those of a network that guides it, one file each.

`_base.py` is the contract. A user weighs them by settings of a recipe (`nas/finalists/recipe.py`).
"""

from supernets.likenesses._base import AbstractLikeness
from supernets.likenesses.affinity import Affinity
from supernets.likenesses.granularity import Granularity

__all__ = ["AbstractLikeness", "Affinity", "Granularity"]
