"""What can be decided: choices, spaces, candidates, costs. No torch.

`load_space("hybrid", resolution=32, channels=1, num_classes=100)` gives the architecture choices,
`.with_policy(("fp32", "int8"), (0, 0.25, 0.5))` adds compression, `.candidate(encoding)` is one
point, `.costs` its multiply-adds, parameters and bytes.
"""

from search_spaces._base import SPACES as SPACES
from search_spaces._base import AbstractSpace as AbstractSpace
from search_spaces._base import is_space_file as is_space_file
from search_spaces._base import load_space as load_space
from search_spaces._blocks import BLOCK_SIDE as BLOCK_SIDE
from search_spaces._blocks import has_blocks as has_blocks
from search_spaces._candidate import Candidate as Candidate
from search_spaces._choice import Choice as Choice
from search_spaces._choice import Option as Option
from search_spaces._choice import Options as Options
from search_spaces._choice import OptionTable as OptionTable
from search_spaces._declarations import declaration as declaration
from search_spaces._declarations import input_shape as input_shape
from search_spaces._declarations import is_mixer as is_mixer
from search_spaces._declarations import signature_cost as signature_cost
from search_spaces._declarations import slot_cost as slot_cost
from search_spaces._errors import CandidateError as CandidateError
from search_spaces._errors import UserError as UserError
from search_spaces._errors import check_ranges as check_ranges
from search_spaces._errors import did_you_mean as did_you_mean
from search_spaces._errors import some_of as some_of
from search_spaces._genotypes import from_darts as from_darts
from search_spaces._genotypes import from_nasbench201 as from_nasbench201
from search_spaces._genotypes import to_darts as to_darts
from search_spaces._genotypes import to_nasbench201 as to_nasbench201
from search_spaces._metrics import MODELLED_MACS as MODELLED_MACS
from search_spaces._modelled import modelled_cost as modelled_cost
from search_spaces._modelled import modelled_costs as modelled_costs
from search_spaces._nni import from_nni as from_nni
from search_spaces._nni import to_nni as to_nni
from search_spaces._plugins import PluginFile as PluginFile
from search_spaces._plugins import load_plugin_texts as load_plugin_texts
from search_spaces._plugins import load_plugins as load_plugins
from search_spaces._plugins import loaded_plugins as loaded_plugins
from search_spaces._plugins import plugin_name as plugin_name
from search_spaces._precision import DEFAULT_CALIBRATION as DEFAULT_CALIBRATION
from search_spaces._precision import FULL_PRECISION as FULL_PRECISION
from search_spaces._precision import MIXED as MIXED
from search_spaces._precision import check_precisions as check_precisions
from search_spaces._precision import has_grids as has_grids
from search_spaces._precision import is_quantized as is_quantized
from search_spaces._precision import one_precision as one_precision
from search_spaces._precision import precision_of as precision_of
from search_spaces._rank import check_ranks as check_ranks
from search_spaces._registry import Registry as Registry
from search_spaces._registry import import_all_installed as import_all_installed
from search_spaces._registry import public_name as public_name
from search_spaces._registry import stem_of as stem_of
from search_spaces._resized import resized as resized
from search_spaces._resolution import pyramid as pyramid
from search_spaces._resolution import resolution_of as resolution_of
from search_spaces._sides import Resolution as Resolution
from search_spaces._sides import Sides as Sides
from search_spaces._sides import read_sides as read_sides
from search_spaces._sides import written_sides as written_sides
from search_spaces._slot import DENSE as DENSE
from search_spaces._slot import FULL_RANK as FULL_RANK
from search_spaces._slot import GROUP_SIZE as GROUP_SIZE
from search_spaces._slot import PATTERN_GROUP as PATTERN_GROUP
from search_spaces._slot import Cost as Cost
from search_spaces._slot import Group as Group
from search_spaces._slot import Shape as Shape
from search_spaces._slot import Signature as Signature
from search_spaces._slot import Slot as Slot
from search_spaces._space import SearchSpace as SearchSpace
from search_spaces._tables import Additive as Additive
from search_spaces._tables import SlotTable as SlotTable
from search_spaces._tables import is_policy as is_policy
from search_spaces._treatment import check_patterns as check_patterns
from search_spaces._treatment import treatments_said as treatments_said
from search_spaces._user_files import read_source as read_source
from search_spaces.formats._base import FORMATS as FORMATS
from search_spaces.formats._base import AbstractFormat as AbstractFormat
from search_spaces.formats._base import format_of as format_of
from search_spaces.networks._base import AbstractNetwork as AbstractNetwork
from search_spaces.networks._base import SlotRule as SlotRule
from search_spaces.networks._operations import operator_of as operator_of
from search_spaces.networks.cells import Cells as Cells
from search_spaces.networks.downsampled import Downsampled as Downsampled
from search_spaces.networks.staged import Stage as Stage
from search_spaces.networks.staged import Staged as Staged
from search_spaces.patterns._base import PATTERNS as PATTERNS
from search_spaces.patterns._base import AbstractPattern as AbstractPattern
from search_spaces.patterns._base import pattern_of as pattern_of
from search_spaces.tasks._base import DEFAULT_TASK as DEFAULT_TASK
from search_spaces.tasks._base import TASKS as TASKS
from search_spaces.tasks._base import AbstractTask as AbstractTask
from search_spaces.tasks._base import Goal as Goal
from search_spaces.tasks._base import Metric as Metric
from search_spaces.tasks._base import naming_task as naming_task
from search_spaces.tasks._base import task_in as task_in
from search_spaces.tasks._base import task_of as task_of
from search_spaces.tasks._classes import AbstractClassTask as AbstractClassTask
from search_spaces.tasks._confidence import CALIBRATION_ERROR as CALIBRATION_ERROR
from search_spaces.tasks._confidence import (
    expected_calibration_error as expected_calibration_error,
)
from search_spaces.tasks._confusion import Confusion as Confusion
from search_spaces.tasks._confusion import labels_in as labels_in
from search_spaces.tasks._images import AbstractImageTask as AbstractImageTask
from search_spaces.tasks._images import asked_task as asked_task
