"""Placement bugs that the checks on an invented device must find. A script: see contracts/test_placement.py.

Prints as JSON what of ours fails, and which bugs are not found.
"""

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest.mock import PropertyMock, patch

import torch
from torch import Tensor, nn

from compress.quantize import int8
from compress.quantize._ranges import _Counts
from nas.testing.placement import everything, failure
from supernets import _heads, steps
from supernets._elastic import AbstractElastic, _skeleton
from supernets.criteria.random import Random
from supernets.device import CPU, moved
from supernets.methods import _lessons
from supernets.mixers.inception import PlainInception
from supernets.mixers.window import PlainWindow, shift_mask
from supernets.optimizers.muon import Orthogonal
from supernets.steps import AloneBatches


@contextmanager
def attribute() -> Iterator[None]:
    make = PlainWindow.__init__

    def init(self: PlainWindow, signature: Any) -> None:
        make(self, signature)
        table = self._buffers.pop("position_TT")
        self.position_TT = table

    with patch.object(PlainWindow, "__init__", init):
        yield


@contextmanager
def mask_made_anew() -> Iterator[None]:
    really = PlainWindow.forward

    def forward(self: PlainWindow, x_BHWC: Tensor) -> Tensor:
        if any(self.shift):
            self._buffers["mask_GTT"] = shift_mask(self.grid, self.window, self.shift)
        return really(self, x_BHWC)

    with patch.object(PlainWindow, "forward", forward):
        yield


@contextmanager
def factory_on_the_cpu() -> Iterator[None]:
    really = _heads.inner_channels

    def inner_channels(heads: Any, head_dim: int, device: torch.device) -> Tensor:
        return really(heads, head_dim, torch.device(CPU)) if isinstance(heads, int) else (
            really(heads, head_dim, device)
        )  # fmt: skip

    with patch.object(_heads, "inner_channels", inner_channels):
        yield


@contextmanager
def index_read_back() -> Iterator[None]:
    really = AbstractElastic.kept

    def kept(self: AbstractElastic, *args: Any) -> Any:
        index = really(self, *args)
        return index if isinstance(index, int) else index.cpu()

    with patch.object(AbstractElastic, "kept", kept):
        yield


@contextmanager
def labels_left_behind() -> Iterator[None]:
    def placed(images_BCHW: Tensor, labels_B: Tensor, plan: Any) -> tuple[Tensor, Tensor]:
        return moved(images_BCHW, plan.device), labels_B

    with patch.object(steps, "placed", placed):
        yield


@contextmanager
def loss_read_for_every_member() -> Iterator[None]:
    really = _lessons.teach

    def teach(context: Any, lessons: Any) -> Any:
        losses = really(context, lessons)
        assert context.images_BCHW.mean().item() < 1e9
        return losses

    with patch.object(_lessons, "teach", teach):
        yield


@contextmanager
def array_of_the_device() -> Iterator[None]:
    really = PlainInception.forward

    def forward(self: PlainInception, x_BHWC: Tensor) -> Tensor:
        return really(self, x_BHWC * float(x_BHWC.detach().numpy().max() > 0))

    with patch.object(PlainInception, "forward", forward):
        yield


@contextmanager
def draws_left_behind() -> Iterator[None]:
    with patch.object(Random, "scores", lambda self, weights: torch.rand(weights.num_members)):
        yield


@contextmanager
def moments_on_the_cpu() -> Iterator[None]:
    really = Orthogonal._direction

    def direction(self: Orthogonal, parameter: nn.Parameter, *args: Any) -> Any:
        self.state[parameter].setdefault("momentum", torch.zeros(parameter.shape))
        return really(self, parameter, *args)

    with patch.object(Orthogonal, "_direction", direction):
        yield


@contextmanager
def integers_on_the_cpu() -> Iterator[None]:
    really = int8.integers
    with patch.object(int8, "integers", lambda *args: really(*args).cpu()):
        yield


@contextmanager
def counts_added_up_elsewhere() -> Iterator[None]:
    def run_node(self: _Counts, n: torch.fx.Node) -> object:
        output = torch.fx.Interpreter.run_node(self, n)
        if n.name in self.ends and isinstance(output, Tensor):
            self.seen[n.name] += torch.histc(output, len(self.seen[n.name]))
        return output

    with patch.object(_Counts, "run_node", run_node):
        yield


@contextmanager
def teacher_left_behind() -> Iterator[None]:
    with patch.object(AloneBatches, "networks", PropertyMock(return_value=())):
        yield


BUGS: dict[str, tuple[AbstractContextManager[None], str, str]] = {
    "an index table that is no buffer": (attribute(), "operator", "window"),
    "a mask made on the CPU": (mask_made_anew(), "operator", "window"),
    "a factory on the CPU": (factory_on_the_cpu(), "operator", "window"),
    "an index that was read back": (index_read_back(), "operator", "mbconv"),
    "labels left on the CPU": (labels_left_behind(), "training method", "sandwich"),
    "a value read in every step": (loss_read_for_every_member(), "training method", "sandwich"),
    "an array of a tensor on the device": (array_of_the_device(), "operator", "inception"),
    "a draw left on the CPU": (draws_left_behind(), "criterion", "random"),
    "moments on the CPU": (moments_on_the_cpu(), "optimizer", "muon"),
    "integer weights on the CPU": (integers_on_the_cpu(), "precision", "int8"),
    "counts added up on the CPU": (counts_added_up_elsewhere(), "calibration", "mse"),
    "a teacher left on the CPU": (teacher_left_behind(), "pattern", "two-of-four"),
}


def main() -> None:
    failing = {f"{kind} '{name}'": failure(kind, name) for kind, name in everything()}
    missed = []
    for what, (bug, kind, name) in BUGS.items():
        _skeleton.cache_clear()
        with bug:
            if not failure(kind, name):
                missed.append(what)
    print(json.dumps({"failing": {k: v for k, v in failing.items() if v}, "missed": missed}))


if __name__ == "__main__":
    main()
