"""What a network learns from besides labels: networks that answer now, and answers of earlier ones.

One interface, `_base.py`; providers beside it. A user names teachers (`nas/finalists/teacher.py`).
"""

from supernets.teachers._base import AbstractTeacher, Asked
from supernets.teachers.discriminator import Discriminator
from supernets.teachers.ensemble import EnsembleTeacher
from supernets.teachers.live import LiveTeacher
from supernets.teachers.teaching import LABELS_ONLY, Teaching

__all__ = [
    "LABELS_ONLY",
    "AbstractTeacher",
    "Asked",
    "Discriminator",
    "EnsembleTeacher",
    "LiveTeacher",
    "Teaching",
]
