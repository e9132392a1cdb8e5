"""Controllers: what proposes the next candidates, given the trials so far. One file each."""

from nas.controllers._base import CONTROLLERS as CONTROLLERS
from nas.controllers._base import AbstractController as AbstractController
from nas.controllers._base import Predicts as Predicts
from nas.controllers._base import check_installed as check_installed
from nas.controllers._base import generator as generator
from nas.controllers._base import installed_controllers as installed_controllers
from nas.controllers._folding import AbstractFolding as AbstractFolding
from nas.controllers._variation import encodings_of as encodings_of
from nas.controllers._variation import mutate as mutate
from nas.controllers._variation import propose as propose
from nas.controllers._variation import spread as spread
