"""The run whose trained supernet another search uses (`--supernet`), and whether it can be used."""

from pathlib import Path

from nas._files import read_json
from nas.config import Config, differences
from nas.data import DataSet, identity
from nas.run import read_space
from search_spaces import SearchSpace, UserError, is_policy


def donor_space(config: Config, space: SearchSpace) -> SearchSpace:
    """The space with the donor's architectures, whose weights there are, and its own policies.

    Args:
        config: Names the donor.
        space: As the configuration has it, not trimmed.

    Raises:
        UserError: If the donor was trained for other architectures than some of the space's.
    """
    donor = [c for c in read_space(Path(config.supernet)).choices if not is_policy(c.name)]
    found = space.restricted({choice.name: choice.options for choice in donor})
    if [c for c in found.choices if not is_policy(c.name)] != donor:
        raise UserError(
            f"supernet '{config.supernet}' was trained for other architectures than those of space "
            f"'{config.space}' at this resolution. Leave out --supernet to train one, or use the "
            "space and resolution of that run."
        )
    return found


def check_donor(config: Config, space: SearchSpace, data: DataSet) -> None:
    """See that a donor has these architectures and was trained on these images.

    Of others, some may be what it is judged on here.

    Raises:
        UserError: If it was not.
    """
    if not config.supernet:
        return
    donor_space(config, space)
    changed = differences(read_json(Path(config.supernet, "data.json")), identity(data))
    if changed:
        raise UserError(
            f"supernet '{config.supernet}' was trained on other images than data '{data.name}' "
            f"with seed {config.split_seed}: {'; '.join(changed):.300}. Use the same --data and "
            "--seed (or data_seed in --config), or leave out --supernet to train one."
        )
