"""Controllers: what proposes the next candidates, given the trials so far. One file each."""

from nas.controllers._base import CONTROLLERS as CONTROLLERS
from nas.controllers._base import AbstractController as AbstractController
from nas.controllers._base import Predicts as Predicts
