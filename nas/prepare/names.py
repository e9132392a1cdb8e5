"""Unknown names and wrong settings are refused before torch is imported, which takes seconds.

So nothing that is imported here imports torch, and neither do the files of our controllers,
executors, training methods and targets until they are used.
"""

from nas.controllers import CONTROLLERS, check_installed
from nas.data import refuse_unknown_data
from nas.executors import EXECUTORS
from nas.prepare.settings import check_settings
from nas.prepare.several import check_devices
from nas.problem.budget import parse_budget
from nas.run.config import Config
from nas.targets import TARGETS, target_name
from search_spaces import SPACES, check_patterns, check_precisions, check_ranks, is_space_file
from supernets.methods._base import METHODS


def refuse_unknown(config: Config) -> None:
    """Refuse names that nothing has, `--set` included, controllers that are not installed, and
    budgets that say nothing.

    Raises:
        UserError: Naming what is known.
    """
    check_precisions(config.precision)
    check_patterns(config.pattern)
    check_ranks(config.rank)
    spaces = [] if is_space_file(config.space) else [(SPACES, config.space)]
    plugins = (
        (CONTROLLERS, config.controller),
        (EXECUTORS, config.executor),
        *((TARGETS, target_name(text)) for text in (config.target, *config.other_targets)),
        (METHODS, config.method),
    )
    for registry, name in (*spaces, *plugins):
        if name not in registry:
            registry.get(name)
    check_installed(config.controller)
    for text in config.budget:
        parse_budget(text)
    refuse_unknown_data(config.data)
    check_settings(config)
    check_devices(config)
