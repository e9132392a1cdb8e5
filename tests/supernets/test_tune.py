"""A tuned network answers and learns as in evaluation mode, and its statistics stay."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from compress.bring.bring import bring, give_weights, space_of
from search_spaces import SearchSpace
from search_spaces.operators._base import OPERATORS
from supernets.network import PlainNetwork
from supernets.supernet import Supernet
from supernets.tune import FoldedNorm, TunedConv2d, tuned
from tests.compress.bring.models import DenseNet, MobileNet, ResNet
from tests.strategies import noise, randomise_, slots_of

Make = Callable[[], PlainNetwork]


def of_operator(supernet: Supernet, space: SearchSpace, operator: str) -> Make:
    return lambda: supernet.extract(slots_of(space, operator=operator, depth=1))


def of_model(model: type[nn.Module]) -> Make:
    torch.manual_seed(0)
    found = bring(model.__name__, model(channels=1).eval(), channels=1, resolution=16)
    supernet = Supernet(space_of(found)).eval()
    give_weights(supernet, found)
    randomise_(supernet, seed=1)
    slots = supernet.space.slots(supernet.space.canonical([0] * len(supernet.space.choices)))
    return lambda: supernet.extract(slots)


def answers_and_gradients(
    network: nn.Module, parameters: nn.Module
) -> tuple[Tensor, dict[str, Tensor]]:
    outputs_BK = network(noise(4, 1, 16, 16))
    loss = (outputs_BK * noise(*outputs_BK.shape, seed=3)).sum() / outputs_BK.detach().norm()
    loss.backward()
    return outputs_BK.detach(), {
        name: parameter.grad
        for name, parameter in parameters.named_parameters()
        if parameter.grad is not None
    }


def require_alike(make: Make) -> None:
    plain, shared = make().eval(), make()
    found = tuned(shared).train()
    expected, expected_gradients = answers_and_gradients(plain, plain)
    outputs, gradients = answers_and_gradients(found, shared)
    scale = float(expected.abs().max())
    torch.testing.assert_close(outputs, expected, atol=1e-5 * scale, rtol=1e-5)
    assert gradients.keys() == expected_gradients.keys()
    largest = max(float(gradient.abs().max()) for gradient in expected_gradients.values())
    for name, gradient in expected_gradients.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-4 * largest, rtol=1e-4)
    for name, tensor in plain.state_dict().items():
        assert torch.equal(shared.state_dict()[name], tensor), f"{name} has changed"


@pytest.mark.parametrize("operator", OPERATORS.names())
def test_a_tuned_member_answers_and_learns_as_in_evaluation_mode(
    random_supernet_of_all: Supernet, mini_of_all: SearchSpace, operator: str
) -> None:
    require_alike(of_operator(random_supernet_of_all, mini_of_all, operator))


@pytest.mark.parametrize("model", [ResNet, MobileNet, DenseNet], ids=lambda m: m.__name__)
def test_a_tuned_network_that_was_brought_answers_and_learns_as_in_evaluation_mode(
    model: type[nn.Module],
) -> None:
    require_alike(of_model(model))


def test_parameters_are_shared_by_name_and_no_batch_norm_is_left_to_measure() -> None:
    network = of_model(DenseNet)()
    found = tuned(network)
    before, after = (module.state_dict(keep_vars=True) for module in (network, found))
    assert before.keys() == after.keys()
    assert all(before[name] is after[name] for name in before)
    assert [type(m) for m in network.modules()].count(nn.BatchNorm2d) > 0
    assert [type(m) for m in found.modules()].count(nn.BatchNorm2d) == 0


def test_a_convolution_with_a_norm_is_one_convolution_that_saves_no_map_between() -> None:
    network = tuned(of_model(ResNet)())
    kinds = [type(module) for module in network.modules()]
    assert kinds.count(TunedConv2d) == kinds.count(FoldedNorm) > 0
    assert kept(network) < 0.7 * kept(of_model(ResNet)().eval())


def kept(network: nn.Module) -> int:
    """Values that are kept for the backward pass, besides weights."""
    weights = {parameter.data_ptr() for parameter in network.parameters()}
    found: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in weights:
            found[tensor.data_ptr()] = tensor.numel()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(noise(64, 1, 16, 16))
    assert output.requires_grad
    return sum(found.values())


def test_making_one_draws_no_random_numbers() -> None:
    network = of_model(ResNet)()
    before = torch.get_rng_state()
    tuned(network)
    assert torch.equal(torch.get_rng_state(), before)
