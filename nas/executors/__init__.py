"""Executors: where candidates are scored. One file each."""

from nas.executors._base import EXECUTORS as EXECUTORS
from nas.executors._base import AbstractExecutor as AbstractExecutor
from nas.executors._base import Scoring as Scoring
from nas.executors._base import Session as Session
from nas.executors._base import make_executor as make_executor
from nas.executors._base import make_timer as make_timer
from nas.executors._base import make_timers as make_timers
