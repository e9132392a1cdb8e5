"""The command `nas`, as a process that is this one."""

import pytest

from nas.cli.app import main


def exit_code(*arguments: object) -> int:
    """What the command ends with."""
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code
