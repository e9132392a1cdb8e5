"""A target's latency profile: a few timed files, and the model fitted on them.

`measure_rows` (imports torch) times single slots and whole networks, `fit` makes a `LatencyModel`
of the rows, which predicts any candidate and knows its own error on networks it has not seen.
"""

from nas.latency._coverage import Coverage as Coverage
from nas.latency._coverage import largest_timed as largest_timed
from nas.latency._error import HeldOut as HeldOut
from nas.latency._error import by_macs as by_macs
from nas.latency._error import error_of as error_of
from nas.latency._error import networks_of as networks_of
from nas.latency._error import unseen as unseen
from nas.latency._fit import fit as fit
from nas.latency._model import LatencyModel as LatencyModel
from nas.latency._rows import Row as Row
from nas.latency._rows import at_one_speed as at_one_speed
from nas.latency._rows import choose_networks as choose_networks
from nas.latency._rows import choose_signatures as choose_signatures
