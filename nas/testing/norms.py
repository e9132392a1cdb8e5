"""What every norm keeps to, in the blocks that may choose it.

The operators' checks are run with it (declared == counted == extracted), and whole networks are
compressed, exported and stored.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from nas.testing._by_name import by_name
from nas.testing._drawn import Choose, draw_family, draw_signature, seeded
from nas.testing._expect import require, require_implemented
from nas.testing._exported import require_shipped_as_simulated
from nas.testing._spaces import random_supernet, small_space
from nas.testing._tensors import noise, randomise_
from nas.testing.operators import (
    OF_FAMILY,
    OF_SIGNATURE,
    check_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does,
)
from search_spaces import FORMATS, FULL_PRECISION, SearchSpace, Signature, Stage, format_of
from search_spaces.norms import NORMS
from search_spaces.norms._base import NORM
from supernets._modules import ConvNorm
from supernets.calibrate import recalibrated
from supernets.fold import folded
from supernets.norms import NORM_LAYERS
from supernets.norms._statistics import is_batch_norm
from supernets.supernet import Supernet

OPERATORS = ("basic", "mbconv", "moat")
"""Blocks that may choose a norm."""

DRAWS, SIDE, WIDTH = 3, 32, 24
LEAST_SAME = 0.95
TOLERANCE = 1e-4


def check_it_is_declared_and_implemented(norm: str) -> None:
    """Declaration and implementation have one name."""
    require_implemented("norm", norm, NORM_LAYERS, "NORM_LAYERS")


def check_it_is_a_batch_norm_if_it_says_so(norm: str) -> None:
    """It has a batch norm's statistics if it says so, else treats every image by itself."""
    declared, module = NORMS.get(norm), _layer(norm)
    says_so, is_one = declared.is_batch_norm, is_batch_norm(module.norm)
    require(is_one == says_so, f"is_batch_norm is {says_so}, and its module is {module.norm}")
    says_so, measures = declared.has_batch_statistics, isinstance(module.norm, nn.BatchNorm2d)
    require(
        measures == says_so, f"has_batch_statistics is {says_so}, and its module is {module.norm}"
    )
    x = noise(4, 8, 5, 5, seed=1)
    with torch.no_grad():
        alone, together = module.train()(x[:1]), module(x)[:1]
    error = float((alone - together).abs().max())
    if not says_so:
        require(error <= TOLERANCE, f"beside other images one's output differs by {error:.2g}")


@torch.no_grad()
def check_recalibrated_and_folded_it_computes_the_same(norm: str) -> None:
    """Recalibrated and folded it computes the same, and batch norms alone are gone."""
    module, images = _layer(norm), [noise(4, 8, 5, 5, seed=seed) for seed in (1, 2)]
    expected = recalibrated(module, images)(images[0])
    found = folded(module)
    error = float((found(images[0]) - expected).abs().max())
    require(error <= TOLERANCE, f"folded it differs by {error:.2g}")
    is_gone = isinstance(found.get_submodule("norm"), nn.Identity)
    says_so = NORMS.get(norm).is_batch_norm
    require(is_gone == says_so, f"is_batch_norm is {says_so}, and folding leaves {found}")


def check_networks_with_it_are_shipped_as_simulated(norm: str) -> None:
    """Networks with it answer alike as modules, ONNX files and checkpoints, in several formats."""
    supernet = _supernet(norm, tuple(FORMATS.names()))
    space = supernet.space
    largest = {choice.name: choice.options[-1] for choice in space.choices}
    for number, precision in enumerate(formats_of(norm)):
        wanted: dict[str, Any] = {"precision": precision, "sparsity": (0.5, 0.0)[number % 2]}
        options = {n: wanted.get(n.rpartition(".")[2], option) for n, option in largest.items()}
        options |= {f"stage{i}.block1.operator": name for i, name in enumerate(OPERATORS, 1)}
        slots = space.slots(space.encode(options))
        require_shipped_as_simulated(supernet, slots, least_same=LEAST_SAME)


def formats_of(norm: str) -> list[str]:
    """In which networks with it are shipped.

    Full precision and all formats of integers; of the others, which leave norms in floating point,
    every second one, so that all of them are over norms.
    """
    alike = [n for n in FORMATS.names() if n != FULL_PRECISION and not format_of(n).is_integer]
    some = alike[sum(norm.encode()) % 2 :: 2]
    return [name for name in FORMATS.names() if name not in alike or name in some]


def _layer(norm: str) -> ConvNorm:
    """A convolution with it, all of its numbers random, in evaluation mode."""
    layer = ConvNorm(8, WIDTH, 3, norm=norm)
    randomise_(layer, seed=0)
    return layer.eval()


@lru_cache(maxsize=1)
def _supernet(norm: str, formats: tuple[str, ...]) -> Supernet:
    return random_supernet(space_with((norm,)).with_policy(formats, (0.0, 0.5)))


def space_with(norms: tuple[str, ...]) -> SearchSpace:
    """Blocks with these norms in three narrow stages, for grey images of 32 px."""
    stage = Stage(
        widths=(8, 16),
        depths=(1,),
        operators=OPERATORS,
        options=(
            ("kernel_size", (3,)),
            ("expand_ratio", (1, 2)),
            ("num_heads", (2,)),
            ("eca", (0, 1)),
            (NORM, norms),
        ),
        head_dim=4,
    )
    return small_space("norms", SIDE, (stage, stage, stage))


Draw = Callable[[str, Choose], Any]


def _drawn_with(norm: str, draw: Draw) -> Draw:
    """A draw in which blocks have this norm."""
    return lambda operator, choose: draw(
        operator, lambda options: norm if norm in options else choose(options)
    )


def _signatures(norm: str) -> Iterator[tuple[Signature]]:
    for operator in OPERATORS:
        for drawn in seeded(operator, _drawn_with(norm, draw_signature), DRAWS):
            yield (drawn,)


def _families(norm: str) -> Iterator[tuple[Signature, Signature]]:
    for operator in OPERATORS:
        yield from seeded(operator, _drawn_with(norm, draw_family), DRAWS)


def _families_of_basic(norm: str) -> Iterator[tuple[Signature, Signature]]:
    """In which borders keep a batch norm behind from taking off what a norm adds to channels."""
    return seeded("basic", _drawn_with(norm, draw_family), DRAWS)


EXAMPLES: Mapping[Callable[..., None], Callable[[str], Iterator[Any]]] = {
    **dict.fromkeys(OF_SIGNATURE, _signatures),
    **dict.fromkeys(OF_FAMILY, _families),
    check_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does: _families_of_basic,
}
"""By check of operators, what it is run on."""

CHECKS: tuple[Callable[[str], None], ...] = (
    check_it_is_declared_and_implemented,
    *(by_name(check, examples) for check, examples in EXAMPLES.items()),
    check_it_is_a_batch_norm_if_it_says_so,
    check_recalibrated_and_folded_it_computes_the_same,
    check_networks_with_it_are_shipped_as_simulated,
)
