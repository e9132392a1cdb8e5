"""Where latency is measured: one file per runtime, and the one protocol that times them all."""

from nas.targets._base import TARGETS, AbstractTarget, Timer, Timing
from nas.targets._timing import is_tie, measure, timed_together

__all__ = ["TARGETS", "AbstractTarget", "Timer", "Timing", "is_tie", "measure", "timed_together"]
