"""Executors: where candidates are scored. One file each."""

from nas.executors._base import EXECUTORS as EXECUTORS
from nas.executors._base import AbstractExecutor as AbstractExecutor
from nas.executors._base import Session as Session
