"""Training early exits of a network of a run.

    exits/<key>/plan.json             how: a `TrainPlan`
    exits/<key>/train_log.jsonl       as the run's own
    exits/<key>/train_state/          checkpoint; gone when training is finished
    exits/<key>/trained.safetensors   weights of the exits; trained together, of all of it

The network is compressed first and stays as it is, so that exits learn from the very maps that they
will see, quantized ones where it is quantized; the last exit is the network bit by bit. Or all of
it is trained together, uncompressed, and compressed afterwards.
"""

import dataclasses
import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, final

from torch import nn

from compress.apply import Compressed
from compress.exits import tapped, with_exits
from nas.finalists.entry import Entry, trained_network
from nas.finalists.finetuning import planned
from nas.finalists.growing import network_of
from nas.finalists.images import images_of
from nas.finalists.recipe import MOST_EPOCHS, Recipe
from nas.prepare.reopen import Trained
from nas.run.directory import log_step
from nas.standalone.train import LOG, PLAN
from nas.system.files import understood
from nas.system.reporter import Reporter
from nas.system.typed import from_document
from search_spaces import DENSE, Slot, UserError, check_ranges, input_shape
from supernets.checkpoint import read_tensors, same_shapes, write_tensors
from supernets.compiled import NEVER
from supernets.exit_batches import ExitBatches
from supernets.exits import Exiting, Exits, Latents, Map, Tapped, maps_between_stages
from supernets.network import PlainNetwork
from supernets.plan import TrainPlan
from supernets.train import Progress, train

FOLDER, WEIGHTS, STATE = "exits", "trained.safetensors", "train_state"
MOST_EXITS = 16

OF_EXITS: dict[str, Any] = {
    "precision": "fp32",
    "compile": NEVER,
    "drop_path": 0.0,
    "dropout": 0.0,
}
"""Of a plan what exits are trained with, whatever the supernet was."""

SETTINGS: dict[str, type] = {
    **dict.fromkeys(("exits", "latents", "width", "expand_ratio"), int),
    "learning_rate": float,
}
"""Fields of a recipe that `--set` gives, and their types."""


@final
@dataclass(frozen=True, kw_only=True)
class ExitRecipe:
    """All that decides what training exits gives.

    Attributes:
        epochs: Passes over the training images.
        is_together: Whether the network is trained, too.
        learning_rate: Peak; 0 for the supernet's.
        exits: Before the network's own answer: behind the last so many stages but one. Fewer where
            a network has fewer stages.
        latents: Vectors of the classification branch.
        width: Of each of them.
        expand_ratio: Hidden channels of their MLP, in widths.
    """

    epochs: float = 5.0
    is_together: bool = False
    learning_rate: float = 0.0
    exits: int = 2
    latents: int = 4
    width: int = 64
    expand_ratio: int = 2

    def __post_init__(self) -> None:
        check_ranges(
            self,
            "the exits",
            epochs=(0.01, MOST_EPOCHS),
            learning_rate=(0.0, 10.0),
            exits=(1, MOST_EXITS),
        )
        _ = self.sizes

    @property
    def sizes(self) -> Latents:
        """Of the branch.

        Raises:
            UserError: If they are out of range.
        """
        return Latents(number=self.latents, width=self.width, expand_ratio=self.expand_ratio)

    def key(self, entry: Entry) -> str:
        """Name of a network with exits so trained."""
        text = json.dumps(asdict(self), sort_keys=True)
        return f"{entry.key}-ex{hashlib.sha256(text.encode()).hexdigest()[:6]}"


@final
@dataclass(frozen=True)
class WithExits:
    """A network with trained exits.

    Attributes:
        key: Its name.
        slots: Of the network.
        maps: That the exits look at.
        sizes: Of the branch.
        compressed: The network without them.
        exiting: With them, as deployed.
        plan: How they were trained.
    """

    key: str
    slots: tuple[Slot, ...]
    maps: tuple[Map, ...]
    sizes: Latents
    compressed: Compressed
    exiting: Exiting
    plan: TrainPlan


def trained_exits(
    trained: Trained, entry: Entry, recipe: ExitRecipe, reporter: Reporter
) -> WithExits:
    """Train the exits of a network, or continue, or read back what is finished.

    Args:
        trained: The run.
        entry: The network.
        recipe: How.
        reporter: Told how far it is.

    Raises:
        UserError: If the network has no stages, or weights that would not stay sparse.
    """
    key, space = recipe.key(entry), trained.problem.space
    slots = tuple(space.slots(entry.candidate.encoding))
    plan = _planned(trained, key, recipe, reporter)
    num_classes, scorer = trained.data.num_outputs, trained.scorer
    training = _Training(trained, trained.run.folder(f"{FOLDER}/{key}"), plan, reporter)
    if recipe.is_together:
        _refuse_patterns(entry, slots)
        network = network_of(trained, entry)
        maps = _maps(network, entry, recipe)
        exits = Exits(maps, num_classes, recipe.sizes, seed=plan.seed)
        training(Exiting(Tapped(network, maps), exits), ExitBatches(plan, None))
        compressed = scorer.compressed(entry.candidate, network)
    else:
        compressed = scorer.compressed(entry.candidate, *trained_network(space, entry))
        assert isinstance(compressed.fp32, PlainNetwork)
        maps = _maps(compressed.fp32, entry, recipe)
        exits = Exits(maps, num_classes, recipe.sizes, seed=plan.seed)
        training(exits, ExitBatches(plan, tapped(compressed.network, maps)))
    return WithExits(
        key=key,
        slots=slots,
        maps=maps,
        sizes=recipe.sizes,
        compressed=compressed,
        exiting=with_exits(compressed.network, maps, exits),
        plan=plan,
    )


@dataclass(frozen=True)
class _Training:
    """Trains a module in a folder.

    Attributes:
        trained: The run.
        folder: Of its files.
        plan: How.
        reporter: Told how far it is.
    """

    trained: Trained
    folder: Path
    plan: TrainPlan
    reporter: Reporter

    def __call__(self, module: nn.Module, batches: ExitBatches) -> None:
        """Leaves the module with trained weights, in evaluation mode."""
        weights, state = self.folder / WEIGHTS, self.folder / STATE
        if not weights.exists():
            state.mkdir(exist_ok=True)
            images = images_of("", self.trained, self.reporter)
            train(module, images, self.plan, batches, directory=state, on_step=self._tell)
            write_tensors(weights, module.state_dict(), {})
        tensors, _ = read_tensors(weights)
        if not same_shapes(tensors, module):
            raise UserError(f"'{weights}' belongs to another network. Delete its folder.")
        module.load_state_dict(tensors)
        shutil.rmtree(state, ignore_errors=True)
        module.eval()

    def _tell(self, numbers: Progress) -> None:
        log_step(self.folder / LOG, numbers, self.plan.steps)
        text = f"loss {numbers['loss']:.3f}, {numbers['images_per_s']:.0f} images/s"
        self.reporter.advance(int(numbers["step"]), self.plan.steps, text)


def _planned(trained: Trained, key: str, recipe: ExitRecipe, reporter: Reporter) -> TrainPlan:
    """The plan of a training that has begun, or is to begin."""

    def decide() -> dict[str, Any]:
        images = images_of("", trained, reporter)
        like = Recipe(epochs=recipe.epochs, learning_rate=recipe.learning_rate)
        plan = planned(like, trained.train_plan, images, steps=0)
        return asdict(dataclasses.replace(plan, **OF_EXITS))

    name = f"{FOLDER}/{key}/{PLAN}"
    document = trained.run.decided(name, decide)
    with understood(f"'{trained.run.path / name}'"):
        return from_document(TrainPlan, document)


def _maps(network: PlainNetwork, entry: Entry, recipe: ExitRecipe) -> tuple[Map, ...]:
    found = maps_between_stages(network, input_shape(network.arch[0].signature))
    if not found:
        raise UserError(
            f"network '{entry.key}' has no stages: all of its maps have one size. Exits look at "
            "maps before they become smaller. Name a network that has several sizes of maps."
        )
    return found[-recipe.exits :]


def _refuse_patterns(entry: Entry, slots: tuple[Slot, ...]) -> None:
    patterns = sorted({slot.signature.pattern for slot in slots} - {DENSE})
    if patterns:
        raise UserError(
            f"network '{entry.key}' has weights of the pattern '{patterns[0]}', which training "
            "together with exits would not keep. Leave out --together: then the network stays."
        )
