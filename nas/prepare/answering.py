"""Whether networks answer with what labels ask for: classes, images or masks."""

from collections.abc import Mapping
from typing import NamedTuple

from nas.data import DataSet
from search_spaces import Answers, SearchSpace, UserError, task_of


class Answering(NamedTuple):
    """What to give where networks and labels are of different kinds.

    Attributes:
        space: Of networks that answer so.
        asking: What gives labels that ask for it.
        otherwise: What does without.
    """

    space: str
    asking: str
    otherwise: str


ANSWERING: Mapping[Answers, Answering] = {
    "images": Answering("sr", "--task super-resolution", "leave out --task"),
    "masks": Answering("segment", "--data digit-scenes or a folder with masks", "other --data"),
}


def check_answers(space: SearchSpace, data: DataSet) -> None:
    """See that networks of the space answer with what the data has as labels.

    Raises:
        UserError: If they do not.
    """
    assert space.network is not None
    wanted, given = task_of(data.task).asks, space.network.answers
    if wanted == given:
        return
    if wanted == "classes":
        raise UserError(
            f"space '{space.name}' has networks that answer with {given}, and labels of data "
            f"'{data.name}' are no {given}. Give {ANSWERING[given].asking}, or another --space."
        )
    remedy = f"Give --space {ANSWERING[wanted].space}, or {ANSWERING[wanted].otherwise}."
    if space.is_brought:
        remedy = "Give data of classes: a model that is brought must give one number per class."
    raise UserError(
        f"space '{space.name}' has networks that answer with {given}, and task '{data.task}' "
        f"asks for {wanted}. {remedy}"
    )
