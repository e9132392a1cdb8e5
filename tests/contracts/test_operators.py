"""What every operator keeps to: declared == counted == extracted, whatever it computes."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from search_spaces import CandidateError, Options, Shape, Signature, declaration, signature_cost
from search_spaces.operators._base import OPERATORS
from supernets.network import plain_module
from supernets.supernet import ElasticSlot, weights_name
from tests.strategies import DIMENSIONS, families, noise, randomise_, signature, signatures

pytestmark = pytest.mark.parametrize("operator", OPERATORS.names())
few = settings(max_examples=12)

UNTRAINABLE = {
    "qkv.bias": lambda n: slice(n // 3, 2 * n // 3),
    "kv.bias": lambda n: slice(0, n // 2),
}
"""Keys' biases: softmax ignores what all keys share."""


def image_of(signature: Signature, *, batch: int = 4) -> torch.Tensor:
    shape = signature.shape
    return noise(batch, shape.in_width, shape.in_size, shape.in_size, seed=3)


def random_slot(largest: Signature) -> ElasticSlot:
    slot = ElasticSlot({weights_name(largest): largest})
    randomise_(slot, seed=2)
    return slot


def used_elements(slot: ElasticSlot, signature: Signature) -> dict[str, torch.Tensor]:
    """1 for every shared number that this signature's plain module is made of."""
    slot.zero_grad()
    trained = [w for w in slot.weights(signature).values() if w.requires_grad]
    torch.stack([weight.sum() for weight in trained]).sum().backward()
    return {n: p.grad.bool() for n, p in slot.named_parameters() if p.grad is not None}


@given(data=st.data())
def test_declared_multiply_adds_are_those_that_torch_counts(
    operator: str, data: st.DataObject
) -> None:
    signature = data.draw(signatures(operator))
    module = plain_module(signature).eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(image_of(signature, batch=1))
    assert signature_cost(signature).macs * 2 == counter.get_total_flops()


@given(data=st.data())
def test_declared_parameters_are_those_of_the_module(operator: str, data: st.DataObject) -> None:
    signature = data.draw(signatures(operator))
    parameters = sum(p.numel() for p in plain_module(signature).parameters())
    assert signature_cost(signature).params == parameters


@given(data=st.data())
def test_the_output_has_the_declared_shape(operator: str, data: st.DataObject) -> None:
    signature = data.draw(signatures(operator))
    shape = signature.shape
    output = plain_module(signature)(image_of(signature))
    assert output.shape == (4, shape.width, shape.size, shape.size)


@given(data=st.data())
def test_normalising_a_pick_twice_changes_nothing_more(operator: str, data: st.DataObject) -> None:
    drawn = data.draw(signatures(operator))
    rule = declaration(operator)
    again = Options({dim: drawn.pick[dim] for dim in rule.dims})
    assert rule.normalise(again, drawn.shape) == drawn.pick


@given(data=st.data())
def test_a_pick_uses_as_many_shared_weights_as_it_declares(
    operator: str, data: st.DataObject
) -> None:
    largest, small = data.draw(families(operator))
    used = used_elements(random_slot(largest), small)
    assert sum(int(mask.sum()) for mask in used.values()) == signature_cost(small).params


@few
@given(data=st.data())
def test_every_weight_a_pick_uses_gets_a_gradient_and_no_other_does(
    operator: str, data: st.DataObject
) -> None:
    largest, small = data.draw(families(operator))
    slot = random_slot(largest).double()
    expected = used_elements(slot, small)
    slot.zero_grad()
    # The outermost tap of the widest kernel reaches one position of the smallest maps, and half of
    # all activations are 0: with 64 images about one tap in 10 ** 8 sees nothing.
    x = image_of(small, batch=64 if small.shape.size <= 5 else 8).double()
    output = slot(x, small)
    (output * noise(*output.shape, seed=5)).sum().backward()
    for name, parameter in slot.named_parameters():
        wanted = expected.get(name, torch.zeros_like(parameter, dtype=torch.bool))
        found = torch.zeros_like(wanted) if parameter.grad is None else parameter.grad != 0
        untrainable = UNTRAINABLE.get(".".join(name.split(".")[-2:]))
        if untrainable is not None:
            found[untrainable(len(found))] = wanted[untrainable(len(found))]
        assert torch.equal(found, wanted), name


@few
@given(data=st.data())
def test_the_largest_pick_uses_all_weights(operator: str, data: st.DataObject) -> None:
    largest, _ = data.draw(families(operator))
    slot = random_slot(largest)
    used = used_elements(slot, largest)
    assert used.keys() == dict(slot.named_parameters()).keys()
    assert all(bool(mask.all()) for mask in used.values())


@given(data=st.data())
def test_a_pick_run_with_shared_weights_equals_the_plain_module_with_copies(
    operator: str, data: st.DataObject
) -> None:
    largest, small = data.draw(families(operator))
    slot = random_slot(largest).eval()
    for module in slot.modules():
        if hasattr(module, "rank"):
            module.rank()
    plain = plain_module(small).eval()
    plain.load_state_dict({n: w.detach() for n, w in slot.weights(small).items()}, strict=False)
    x = image_of(small)
    with torch.no_grad():
        assert (slot(x, small) - plain(x)).abs().max() <= 1e-5


@given(data=st.data())
def test_sparsity_removes_the_declared_fraction_to_the_nearest_multiple(
    operator: str, data: st.DataObject
) -> None:
    drawn = data.draw(signatures(operator))
    dense = signature(operator, drawn.pick, drawn.shape)
    for name, group in declaration(operator).groups(drawn.pick, drawn.shape).items():
        kept = [group.kept(fraction) for fraction in (0.0, 0.25, 0.5, 0.9)]
        assert kept[0] == group.size == dense.kept[name]
        assert kept == sorted(kept, reverse=True)
        assert kept[-1] >= min(group.size, group.multiple)
        for fraction, number in zip((0.25, 0.5, 0.9), kept[1:], strict=True):
            assert number == group.size or number % group.multiple == 0
            assert abs(number - (1 - fraction) * group.size) < max(group.multiple, 1)


@given(data=st.data())
def test_pruning_a_pick_never_costs_more(operator: str, data: st.DataObject) -> None:
    drawn = data.draw(signatures(operator))
    sparse, dense = (
        signature_cost(drawn),
        signature_cost(signature(operator, drawn.pick, drawn.shape)),
    )
    for name, value in vars(sparse).items():
        assert value <= getattr(dense, name), name


def test_an_odd_width_runs_or_is_refused(operator: str) -> None:
    pick = Options({dim: DIMENSIONS[dim][0] for dim in declaration(operator).dims})
    try:
        odd = signature(operator, pick, Shape(8, 8, 9, 9, 0, 4))
    except CandidateError as error:
        assert "Offer even widths" in str(error)
    else:
        assert plain_module(odd)(image_of(odd)).shape == (4, 9, 8, 8)
