"""Training methods: what a batch teaches which members of the supernet.

One file per method; `_base.py` is the contract, `_lessons.py` helps those that plan members.
"""

from supernets.methods._base import METHODS, AbstractMethod
from supernets.methods._lessons import (
    LARGEST,
    RANDOM,
    SMALLEST,
    AbstractLessons,
    Lesson,
    teach,
)

__all__ = [
    "LARGEST",
    "METHODS",
    "RANDOM",
    "SMALLEST",
    "AbstractLessons",
    "AbstractMethod",
    "Lesson",
    "teach",
]
