"""Scans against the steps that papers write down, one token after the other; and what they cost."""

import math
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from compress import export_onnx
from search_spaces import CandidateError, Options, Shape, Signature, signature_cost
from search_spaces._scans import MOST_CHUNK, chunk_lengths, num_scanned
from supernets._scan import GatedLinearAttention, Recurrence
from supernets._selective import ORDERS, SelectiveScan, rolled, unrolled
from supernets.blocks.efficientvmamba import AtrousScan
from supernets.fold import folded
from supernets.mixers.vig import PlainViG
from supernets.network import plain_module
from tests.onnx_graphs import answers
from tests.strategies import noise, randomise_, signature

TOKENS = (1, 4, 17, 49, 66, 196)
"""One, one chunk, a prime number that is cut with one more, and two or three levels."""


def of(operator: str, size: tuple[int, int], width: int, **pick: float) -> Signature:
    place = Shape(size, size, width, width, 0, 8)
    return signature(operator, Options({"expand_ratio": 2, **pick}), place)


def stepped(log_BLKW: Tensor, u_BLKV: Tensor) -> Tensor:
    """h[t] = a[t] * h[t - 1] + u[t], one step after the other."""
    state, states = torch.zeros_like(u_BLKV[:, 0]), []
    for t in range(u_BLKV.shape[1]):
        state = log_BLKW[:, t].exp() * state + u_BLKV[:, t]
        states.append(state)
    return torch.stack(states, 1)


@pytest.mark.parametrize("tokens", TOKENS)
@torch.no_grad()
def test_states_of_all_tokens_are_those_of_single_steps(tokens: int) -> None:
    u = noise(2, tokens, 3, 2)
    for decays in (1, 2):
        log = -noise(2, tokens, 3, decays, seed=1).abs()
        expected = stepped(log, u)
        found = Recurrence(tokens, 3, 2, decays)(log, u)
        assert (found - expected).abs().max() <= 1e-4
        before = Recurrence(tokens, 3, 2, decays, is_before=True)(log, u)
        shifted = torch.cat((torch.zeros(2, 1, 3, 2), expected[:, :-1]), 1)
        assert (before - shifted).abs().max() <= 1e-4


def test_states_that_are_forgotten_at_once_and_never_are_exact_and_have_gradients() -> None:
    log, u = -noise(1, 64, 5, 1).abs(), noise(1, 64, 5, 1, seed=1)
    log[:, ::7], log[:, 30:50] = -60.0, 0.0
    log.requires_grad_()
    found = Recurrence(64, 5, 1, 1)(log, u)
    assert (found - stepped(log, u)).abs().max() <= 1e-4
    found.square().sum().backward()
    assert log.grad is not None
    assert log.grad.isfinite().all()


@pytest.mark.parametrize("tokens", TOKENS)
@torch.no_grad()
def test_linear_attention_in_chunks_is_that_of_single_steps(tokens: int) -> None:
    q, k, v = noise(2, tokens, 4), noise(2, tokens, 4, seed=1), noise(2, tokens, 3, seed=2)
    log = -noise(2, tokens, 4, seed=3).abs()
    states = stepped(log[..., None], k[..., None] * v[:, :, None])
    expected = (q[..., None] * states).sum(2)
    found = GatedLinearAttention(tokens, 4, 3)(q, k, v, log)
    assert (found - expected).abs().max() <= 1e-4


@pytest.mark.parametrize("states", [1, 3])
@torch.no_grad()
def test_a_selective_scan_is_that_of_single_steps(states: int) -> None:
    module = SelectiveScan(20, 2, 4, states, 2)
    randomise_(module, seed=0)
    sequences = [noise(2, 20, 4), noise(2, 20, 4, seed=1)]
    found = module(sequences)
    for s, x_BLD in enumerate(sequences):
        select, step = module.select[str(s)], module.step[str(s)]
        state_BDN = torch.zeros(2, 4, states)
        for t in range(20):
            rank, b, c = select(x_BLD[:, t]).split([2, states, states], -1)
            step_BD = F.softplus(step(rank) + module.step_bias[s])
            decay_BDN = (-step_BD[..., None] * module.decay_log[s].exp()).exp()
            input_BDN = (step_BD * x_BLD[:, t])[..., None] * b[:, None]
            state_BDN = decay_BDN * state_BDN + input_BDN
            y_BD = (state_BDN * c[:, None]).sum(-1) + module.skip[s] * x_BLD[:, t]
            assert (found[:, t, s] - y_BD).abs().max() <= 1e-4


def halved(states: int) -> tuple[SelectiveScan, SelectiveScan, list[Tensor], Tensor]:
    """A scan, the same of half of the tokens, two sequences whose other half is small, and which
    tokens that is: (L, S)."""
    whole = SelectiveScan(20, 2, 4, states, 2)
    fewer = SelectiveScan(20, 2, 4, states, 2, share=0.5)
    fewer.load_state_dict(whole.state_dict())
    places = torch.stack([torch.randperm(20, generator=rng(s))[:10] for s in range(2)], 1)
    is_small_LS = torch.zeros(20, 2, dtype=torch.bool).scatter(0, places, True)
    sequences = [1.0 + noise(2, 20, 4, seed=s).abs() for s in range(2)]
    return whole, fewer, sequences, is_small_LS


def rng(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("states", [1, 3])
@torch.no_grad()
def test_tokens_without_input_may_be_left_out_if_the_state_decays_there(states: int) -> None:
    whole, fewer, sequences, is_nothing_LS = halved(states)
    sequences = [x.masked_fill(is_nothing_LS[:, s, None], 0.0) for s, x in enumerate(sequences)]
    expected, found = whole(sequences), fewer(sequences)
    assert (found - expected).abs().max() <= 1e-5
    unaligned = SelectiveScan(10, 2, 4, states, 2)
    unaligned.load_state_dict(whole.state_dict())
    kept = [x[:, ~is_nothing_LS[:, s]] for s, x in enumerate(sequences)]
    wanted = [expected[:, ~is_nothing_LS[:, s], s] for s in range(2)]
    assert (unaligned(kept) - torch.stack(wanted, 2)).abs().max() > 1e-3


@torch.no_grad()
def test_a_token_that_is_left_out_keeps_what_it_skips_by() -> None:
    _, fewer, sequences, is_small_LS = halved(1)
    sequences = [x * (1 - 0.99 * is_small_LS[:, s, None].float()) for s, x in enumerate(sequences)]
    skipped = torch.stack(sequences, 2) * fewer.skip
    is_alone_LS = (fewer(sequences) - skipped).abs().amax((0, 3)) <= 1e-7
    assert torch.equal(is_alone_LS, is_small_LS)


@pytest.mark.parametrize("operator", ["efficientvmamba", "msvmamba", "dvss"])
def test_a_share_of_the_tokens_costs_less_and_weighs_the_same(operator: str) -> None:
    whole, half = (
        signature_cost(of(operator, (16, 16), 16, state_size=4, token_share=share))
        for share in (1, 0.5)
    )
    assert half.macs < whole.macs
    assert half.attention < 0.6 * whole.attention or operator == "dvss"
    assert half.params == whole.params


def test_shares_are_those_that_need_no_padding_and_mean_the_same_again() -> None:
    for tokens in (4, 16, 49, 66, 196, 784):
        for share in (0.1, 0.25, 0.5, 0.75, 0.99):
            scanned = num_scanned(tokens, share)
            assert share * tokens - 1e-6 <= scanned <= tokens
            assert scanned == tokens or math.prod(chunk_lengths(scanned)) == scanned
            assert num_scanned(tokens, scanned / tokens) == scanned
    with pytest.raises(CandidateError, match="a share of 1.5 of its tokens"):
        of("msvmamba", (8, 8), 16, token_share=1.5)


def test_tokens_are_cut_into_chunks_of_few_and_hardly_any_are_added() -> None:
    for tokens in range(1, 3200, 7):
        lengths = chunk_lengths(tokens)
        assert max(lengths) <= MOST_CHUNK
        assert tokens <= math.prod(lengths) <= 1.1 * tokens + 2
    assert math.prod(chunk_lengths(56 * 56)) == 56 * 56


@torch.no_grad()
def test_vig_reads_what_both_directions_have_seen_and_mixes_values_in() -> None:
    module = PlainViG(of("vig", (3, 4), 8, num_heads=2)).eval()
    randomise_(module, seed=1)
    x_BHWC = noise(1, 3, 4, 8)
    local = F.silu(module.conv(module.norm(x_BHWC).permute(0, 3, 1, 2)))
    local = local.permute(0, 2, 3, 1).reshape(12, 8)
    q, k, v = module.qkv(local).split([8, 8, 16], -1)
    forward, backward = F.logsigmoid(module.decay(module.reduce(local))).div(16).exp().chunk(2, -1)
    read = torch.zeros(12, 2, 8)
    tokens = list(range(12))
    for decays, order in ((forward, tokens), (backward, tokens[::-1])):
        for head in range(2):
            keys, values = slice(4 * head, 4 * head + 4), slice(8 * head, 8 * head + 8)
            state = torch.zeros(4, 8)
            for i in order:
                state = decays[i, keys, None] * state + torch.outer(k[i, keys], v[i, values])
                read[i, head] += 0.25 * q[i, keys] @ state
    gate = torch.sigmoid(module.gate(local)).reshape(12, 2, 8)
    mixed = gate * module.read_norm(read)
    mixed += (1 - gate) * module.local_norm(v.reshape(12, 2, 8))
    expected = module.project(F.silu(mixed).reshape(1, 3, 4, 16))
    assert (module(x_BHWC) - expected).abs().max() <= 1e-4


@pytest.mark.parametrize(
    ("operator", "pick"), [("vig", {"num_heads": 2}), ("efficientvmamba", {"state_size": 4})]
)
def test_scans_cost_as_much_per_token_on_large_maps_as_on_small_ones(
    operator: str, pick: dict[str, int]
) -> None:
    small, large = (
        signature_cost(of(operator, (side, side), 16, **pick)).macs / side**2 for side in (16, 64)
    )
    assert large == pytest.approx(small, rel=0.03)


@pytest.mark.parametrize("order", ORDERS)
def test_orders_visit_every_position_once_and_go_back(order: str) -> None:
    x_BHWD = noise(2, 3, 5, 2)
    sequence = unrolled(x_BHWD, (3, 5), 2, order)
    assert torch.equal(rolled(sequence, (3, 5), 2, order), x_BHWD)
    first = {"rows": (0, 1), "columns": (1, 0)}.get(order)
    if first:
        assert torch.equal(sequence[:, 1], x_BHWD[:, first[0], first[1]])


@pytest.mark.parametrize("size", [(6, 4), (7, 5), (1, 3)])
def test_grids_of_every_second_position_are_put_back_together(size: tuple[int, int]) -> None:
    scan = AtrousScan(size, 3, 1, 1)
    x_BHWD = noise(2, *size, 3)
    sequences = scan.sampled(x_BHWD)
    assert torch.equal(scan.put_back(sequences), x_BHWD)
    assert torch.equal(sequences[0][:, 0], x_BHWD[:, 0, 0])
    if size == (6, 4):
        assert torch.equal(sequences[3][:, 1], x_BHWD[:, 3, 1]), "by columns"


@pytest.mark.parametrize(
    ("operator", "pick", "share"),
    [
        ("efficientvmamba", {"state_size": 1}, 1),
        ("msvmamba", {"num_directions": 4}, 1 + 3 / 4),
        ("msvmamba", {"num_directions": 1}, 1),
        ("dvss", {"num_directions": 4}, 4),
    ],
)
@torch.no_grad()
def test_so_many_tokens_are_scanned(operator: str, pick: dict[str, int], share: float) -> None:
    module = plain_module(of(operator, (8, 12), 8, **pick)).eval()
    scanned = []
    for child in module.modules():
        if isinstance(child, SelectiveScan):
            child.register_forward_hook(
                lambda _, __, output: scanned.append(output.shape[:-1].numel())
            )
    module(noise(1, 8, 8, 12))
    assert sum(scanned) == share * 8 * 12


@pytest.mark.parametrize("operator", ["vig", "efficientvmamba"])
@torch.no_grad()
def test_files_of_large_maps_have_no_loops_and_answer_as_torch_does(
    operator: str, tmp_path: Path
) -> None:
    pick = {"num_heads": 1} if operator == "vig" else {"state_size": 2}
    module: nn.Module = plain_module(of(operator, (56, 56), 8, **pick)).eval()
    randomise_(module, seed=2)
    export_onnx(folded(module), tmp_path / "a.onnx", shape=(8, 56, 56))
    nodes = {node.op_type for node in onnx.load(tmp_path / "a.onnx").graph.node}
    assert not nodes & {"Loop", "Scan", "If", "GatherND", "GatherElements", "ScatterND"}
    images = noise(1, 8, 56, 56)
    assert (
        torch.from_numpy(answers(tmp_path / "a.onnx", images)) - module(images)
    ).abs().max() <= 1e-3
