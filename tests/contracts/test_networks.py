"""Every kind of network keeps its contract; the one that is not a row is among the plug-ins."""

import functools
from collections.abc import Callable
from dataclasses import replace
from operator import attrgetter

import pytest
from torch import nn

from compress.bring.bring import bring
from compress.bring.stitch import stitched
from nas.testing.networks import OF_NETWORK
from search_spaces import AbstractNetwork, Cells, Columns, Downsampled, Segmented, Staged
from search_spaces.networks._base import NETWORKS
from tests.compress.bring.models import ResNet
from tests.strategies import mini_space, noise

RECURRENT = (("num_heads", (2,)), ("num_groups", (2,)), ("expand_ratio", (1,)), ("repeats", (1, 2)))


@functools.cache
def examples() -> dict[str, AbstractNetwork]:
    """Networks for images of one channel, some of which are not square."""
    staged = mini_space(operators=("mbconv", "window")).network
    assert isinstance(staged, Staged)
    parts = mini_space(
        operators=("convnext", "window"), resolution="16x20", channel_parts=("mlp", "convglu")
    ).network
    assert isinstance(parts, Staged)
    recurrent = replace(
        staged,
        stages=tuple(
            replace(stage, operators=("sret",), depths=(1,), options=RECURRENT)
            for stage in staged.stages
        ),
    )
    stems = replace(parts, stems=("stem", "patch"), stem_strides=(2, 4))
    gathering = [
        replace(
            stage,
            widths=stage.widths[:1],
            operators=("convnext",),
            options=tuple((name, options[:1]) for name, options in stage.options),
            tokens_per_cluster=(1, 4),
        )
        for stage in parts.stages
    ]
    clustered = replace(parts, stages=tuple(gathering))
    resnet = ResNet(depth=1, width=8, channels=1, classes=10).eval()
    traced = bring("resnet", resnet, channels=1, resolution="16x20").network
    models = [bring("row", row(width).eval(), channels=1, resolution="16x20") for width in (4, 8)]
    cells = Cells(
        resolution="16x20",
        channels=1,
        num_classes=10,
        topology="nasnet",
        nodes=2,
        operations=("identity", "sepconv-3"),
        widths=(4, 8),
        depths=(1,),
    )
    columns = Columns(
        resolution="16x20",
        channels=1,
        num_classes=10,
        columns=(1, 2),
        widths=(8, 16),
        depths=(1,),
        operations=("basic", "convnext-3:expand_ratio=1"),
    )
    graphs = replace(
        cells,
        topology="nasbench201",
        operations=("conv-1", "maxpool"),
        widths=(4,),
    )
    rows = Downsampled(
        resolution="16x20",
        channels=1,
        num_classes=10,
        widths=(4, 16),
        depth=1,
        halvings=1,
        num_sets=2,
        stem_stride=2,
    )
    segmented = Segmented(
        resolution="18x20",  # whose maps are 9x10 and 5x5
        channels=1,
        num_classes=4,
        stages=staged.stages[:2],
        decoder_widths=(8, 12),
        stem_strides=(2, 4),
    )
    return {
        "staged": staged,
        "segmented": segmented,
        "staged with stems and channel parts": stems,
        "staged that recurs": recurrent,
        "staged with clusters": clustered,
        "traced": traced,
        "stitched": stitched(models, [noise(4, 1, 16, 20)]).network,
        "stitched both ways": stitched(
            models, [noise(4, 1, 16, 20)], is_two_way=True, update_rank=2
        ).network,
        "cells": cells,
        "cells of any edges": graphs,
        "columns": columns,
        "downsampled": rows,
    }


def row(width: int) -> nn.Module:
    first = nn.Sequential(nn.Conv2d(1, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(width, width, 3, 1, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(first, second, nn.Flatten(), nn.Linear(width, 10))


def test_every_kind_has_an_example_here() -> None:
    assert set(NETWORKS.names()) <= set(examples())


@pytest.mark.parametrize("kind", sorted(examples()))
@pytest.mark.parametrize("check", OF_NETWORK, ids=attrgetter("__name__"))
def test_any_network(kind: str, check: Callable[[AbstractNetwork], None]) -> None:
    check(examples()[kind])
