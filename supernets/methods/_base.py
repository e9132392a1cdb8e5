"""The contract of a training method: what one batch does, and what lives from step to step."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

from search_spaces import Registry, SearchSpace, UserError

if TYPE_CHECKING:
    from supernets.context import Context
    from supernets.team import Losses, State

GIVEN = frozenset({"space", "seed", "sparse_from", "is_within"})
"""Fields of a method that training gives; all others are hyper-parameters, for `--set`."""


class AbstractMethod(ABC):
    """How batches teach a supernet. Subclasses are frozen dataclasses.

    Its fields `GIVEN` are the space, the seed of what is drawn once for all batches, the first
    batch in which members may be pruned, and which rows of encodings (N, C) the limits allow (None
    for all). Further fields are hyper-parameters with defaults: numbers, words or booleans. They
    are checked when a method is made (`search_spaces.check_ranges`).

    Resuming is exact, and the number of processes makes no difference, because a batch depends on
    its `Context` alone, and the state on the reports alone. Gradients of a step's batches are
    averaged.
    """

    space: SearchSpace

    @property
    def phases(self) -> tuple[float, ...]:
        """Where phases of training begin whose steps take differently long, the first at 0.

        Shares of the steps, as in `Context.share_done`; each phase is timed in its middle.
        """
        return (0.0,)

    @property
    def needs_average(self) -> bool:
        """Whether batches ask the averaged weights (`Context.average`), which training returns."""
        return False

    @property
    def needs_classes(self) -> bool:
        """Whether labels must be classes, and not images."""
        return False

    def initial_state(self) -> "State":
        """Named arrays before the first step. They are part of the checkpoint."""
        return {}

    @abstractmethod
    def step(self, context: "Context") -> "Losses":
        """Trains on one batch: leaves gradients in the parameters.

        Returns:
            Who was trained and its loss, for logs; at least one. Not finite ones end training.
        """

    def augment_at(self, augment: str, share_done: float) -> str:
        """What is done to images, as `TrainPlan.augment` has it, after a share of the training."""
        return augment

    def fold(self, state: "State", reports: "Sequence[State]") -> "State":
        """The state after a step of the optimizer; a pure function.

        Args:
            state: Before it.
            reports: What each batch of the step reported, in the order of their numbers.

        Returns:
            Arrays of the same names, shapes and types as before.
        """
        return state

    def remaining(self, state: "State") -> SearchSpace:
        """What of the space is trained to the end: all that a search is offered.

        Args:
            state: After the last step, or the initial one.

        Returns:
            The space, or what is left without some options; networks that are not pruned are.
        """
        return self.space

    def summary(self, state: "State") -> str:
        """What is worth telling of what was trained, a line; "" for nothing.

        Args:
            state: After the last step.
        """
        return ""


METHODS = Registry("supernets.methods", "training method", AbstractMethod)


def remaining_of(method: AbstractMethod, state: "State") -> SearchSpace:
    """What a method leaves of its space.

    Raises:
        UserError: If that is no part of the space that has networks which are not pruned.
    """
    remaining = method.remaining(state)
    whole = {choice.name: choice.options for choice in method.space.choices}
    for choice in remaining.choices:
        given_up = [option for option in whole.get(choice.name, ()) if option not in choice.options]
        is_unpruned_kept = 0.0 not in given_up or not choice.name.endswith("sparsity")
        if not set(choice.options) <= set(whole.get(choice.name, ())) or not is_unpruned_kept:
            raise UserError(
                f"training method {type(method).__name__} leaves {list(choice.options)} of "
                f"'{choice.name}', which offers {list(whole.get(choice.name, ()))}. What remains "
                "must be some of these, and 0 of a sparsity."
            )
    return remaining
