"""Clusters of positions against their definition, one position after the other."""

import pytest
import torch
from torch import Tensor, nn

from search_spaces import SearchSpace, Sides, Signature, Stage, Staged
from search_spaces._clusters import AROUND
from search_spaces.networks._clustered import CLUSTER, REBUILD, cluster_signature
from supernets._clusters import Cells
from supernets._modules import LEAST_SQUARE
from supernets.network import PlainNetwork, plain_module
from tests.strategies import noise, randomise_

SIZES = ((4, 6), (5, 7))
TOLERANCE = 1e-5


def of(place: str, size: Sides, width: int, tokens: int) -> Signature:
    found = cluster_signature(place, size, width, tokens)
    assert found is not None
    return found


def tokens_of(*maps: Tensor) -> Tensor:
    return torch.cat([x_BCHW.flatten(2) for x_BCHW in maps], 2).unsqueeze(-1)


def shares_by_definition(cells: Cells, x_BCHW: Tensor, clusters_BPC: Tensor) -> Tensor:
    """(B, H, W, P)."""
    (height, width), (rows, columns) = cells.size, cells.grid
    found = torch.zeros(len(x_BCHW), height, width, rows * columns)
    for image, x_CHW in enumerate(x_BCHW):
        own = clusters_BPC[image].reshape(rows, columns, -1)
        apart = [
            (x_CHW[:, y, x] - own[y // cells.cell[0], x // cells.cell[1]]).square().sum()
            for y in range(height)
            for x in range(width)
        ]
        temperature = torch.stack(apart).mean() + LEAST_SQUARE
        for y in range(height):
            for x in range(width):
                row, column = y // cells.cell[0], x // cells.cell[1]
                near = [
                    r * columns + c
                    for r in range(max(0, row - 1), min(rows, row + 2))
                    for c in range(max(0, column - 1), min(columns, column + 2))
                ]
                squares = (x_CHW[:, y, x] - clusters_BPC[image, near]).square().sum(1)
                found[image, y, x, near] = (-squares / temperature).softmax(0)
    return found


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_a_position_belongs_softly_to_the_clusters_around_it(size: Sides) -> None:
    x = noise(2, 3, *size)
    cells = Cells(size, (2, 2), 3)
    clusters = noise(2, cells.clusters, 3, seed=1)
    shares_BPSA = cells.belonging(cells.cut(x), clusters)
    assert shares_BPSA.shape[-1] == AROUND
    assert torch.allclose(shares_BPSA.sum(-1), torch.ones(()), atol=TOLERANCE)
    expected = shares_by_definition(cells, x, clusters)
    gains = noise(2, cells.clusters, 3, seed=2)
    spread = cells.joined(cells.spread(gains, shares_BPSA))
    assert torch.allclose(spread, (expected @ gains[:, None]).permute(0, 3, 1, 2), atol=TOLERANCE)


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_clusters_are_means_of_cells_moved_to_what_belongs_to_them(size: Sides) -> None:
    x = noise(2, 3, *size)
    signature = of(CLUSTER, size, 3, 4)
    found = plain_module(signature)(x)
    cells = Cells(size, (2, 2), 3)
    pool = nn.AvgPool2d(2, ceil_mode=True, count_include_pad=False)
    shares_BHWP = shares_by_definition(cells, x, pool(x).flatten(2).transpose(1, 2))
    total = torch.einsum("bhwp,bchw->bcp", shares_BHWP, x)
    expected = total / shares_BHWP.sum((1, 2))[:, None]
    assert torch.allclose(found.flatten(2), expected, atol=TOLERANCE)


@torch.no_grad()
def test_clusters_move_to_one_side_of_an_edge() -> None:
    x_1CHW = 0.1 * noise(1, 3, 6, 12)
    x_1CHW[..., 4:] += 1.0  # behind the first column of every second cell of a row
    cells = Cells((6, 12), (2, 3), 3)
    moved = cells.gathered(cells.cut(x_1CHW)).reshape(3, 4, 3)[:, 1]
    pooled = nn.AvgPool2d((2, 3))(x_1CHW)[0, :, :, 1]
    assert 0.6 < float(pooled.mean()) < 0.75
    assert float(moved.mean()) > 0.85


@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_as_many_clusters_as_positions_are_the_map_and_what_is_made_of_it(size: Sides) -> None:
    x, changed = noise(2, 8, *size), noise(2, 8, *size, seed=1)
    cells = Cells(size, (1, 1), 8)
    clusters = cells.gathered(cells.cut(x))
    assert (clusters.transpose(1, 2).reshape(x.shape) - x).abs().max() <= TOLERANCE
    gains = changed.flatten(2).transpose(1, 2) - clusters
    rebuilt = cells.cut(x) + cells.spread(gains, cells.belonging(cells.cut(x), clusters))
    assert (cells.joined(rebuilt) - changed).abs().max() <= TOLERANCE


@pytest.mark.parametrize("tokens", [2, 4, 9])
@pytest.mark.parametrize("size", SIZES)
@torch.no_grad()
def test_blocks_that_change_nothing_leave_the_map_as_it_was(size: Sides, tokens: int) -> None:
    x = noise(2, 4, *size)
    clusters = plain_module(of(CLUSTER, size, 4, tokens))(x)
    rebuilt = plain_module(of(REBUILD, size, 4, tokens))(tokens_of(x, clusters, clusters))
    assert torch.equal(rebuilt, x)


@torch.no_grad()
def test_what_all_clusters_gain_all_positions_gain() -> None:
    x = noise(2, 4, 5, 7)
    clusters = plain_module(of(CLUSTER, (5, 7), 4, 4))(x)
    rebuilt = plain_module(of(REBUILD, (5, 7), 4, 4))(tokens_of(x, clusters, clusters + 2.0))
    assert torch.allclose(rebuilt, x + 2.0, atol=TOLERANCE)


@torch.no_grad()
def test_a_constant_map_has_no_clusters_to_choose_from_and_stays_finite() -> None:
    x = torch.full((1, 4, 6, 6), 3.0)
    clusters = plain_module(of(CLUSTER, (6, 6), 4, 4))(x)
    assert torch.allclose(clusters, torch.full((1, 4, 3, 3), 3.0), atol=TOLERANCE)


@torch.no_grad()
def test_a_network_that_has_learnt_runs_on_clusters_without_training() -> None:
    stage = Stage(
        widths=(8,),
        depths=(3,),
        operators=("sra",),
        options=(("expand_ratio", (2,)), ("num_heads", (1,)), ("sr_ratio", (1,))),
        head_dim=8,
        tokens_per_cluster=(1, 2, 4),
    )
    network = Staged(resolution=16, channels=1, num_classes=10, stages=(stage, stage))
    space = SearchSpace.of_network("own", network)
    whole, halved, mixed = (
        space.slots(
            space.encode({"stage1.tokens_per_cluster": first, "stage2.tokens_per_cluster": second})
        )
        for first, second in ((1, 1), (2, 1), (4, 2))
    )
    assert not {"stage1.cluster", "stage1.rebuild"} & {slot.name for slot in whole}
    learnt = PlainNetwork(whole).eval()
    randomise_(learnt, seed=1)
    images = noise(2, 1, 16, 16)
    answers = learnt(images)
    for slots in (halved, mixed):
        fewer = PlainNetwork(slots).eval()
        fewer.load_state_dict(learnt.state_dict())  # no weight more, none less
        assert fewer(images).shape == answers.shape
        assert not torch.equal(fewer(images), answers)
