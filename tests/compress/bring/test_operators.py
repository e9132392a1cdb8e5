"""Every operator gives what ONNX's own tests of it say."""

import importlib
import re

import numpy as np
import pytest
import torch
from onnx.backend.test.case import node as cases_of_onnx
from torch import Tensor

from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx._module import carried_out
from compress.bring.onnx.operators import OPERATORS
from compress.bring.onnx.operators.layers import LINEAR
from compress.bring.onnx.operators.shapes import ROLL
from search_spaces import UserError

FILES = {"Range": "rangeop", "Not": "not_", "And": "and_", "Or": "or_"}
"""Of ONNX's tests, where they are not called after the operator."""

OF_SIZES = {"Range", "ConstantOfShape", "ReduceProd"}
"""What they read are numbers, reals too."""

KINDS = ("float32", "int32", "int64", "bool")
OF_OTHER_TYPES = ("Cast", "CumSum", "Einsum")
"""ONNX tests them with types that networks for images have not."""

NOT_REBUILT = re.compile("cannot be rebuilt")
LEFT_OUT = ("training", "dropout_default_mask", "empty_set")
"""Words in names of cases: of training, and of tensors without values."""


def modules_of(op: str) -> str:
    name = FILES.get(op, op.lower())
    snake = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", op).lower()
    places = [f"{cases_of_onnx.__name__}.{found}" for found in (name, snake)]
    return next(place for place in places if importlib.util.find_spec(place))


def given(op: str, array: np.ndarray | None) -> Tensor | np.ndarray | None:
    """Several reals as tensors, all else as numbers: as networks have them."""
    if array is None:
        return None
    found = np.asarray(array)
    is_tensor = found.dtype == np.float32 and found.size > 1 and op not in OF_SIZES
    return torch.from_numpy(found.copy()) if is_tensor else found


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("op", sorted({*OPERATORS} - {LINEAR, ROLL, *OF_OTHER_TYPES}))
def test_an_operator_gives_what_onnx_says(op: str) -> None:
    importlib.import_module(modules_of(op))
    checked = 0
    for case in cases_of_onnx._NodeTestCases:
        (proto, *others) = case.model.graph.node
        if others or proto.op_type != op or any(word in case.name for word in LEFT_OUT):
            continue
        arrays, expected = case.data_sets[0]
        names = [each.name for each in case.model.graph.input]
        if not all(getattr(a, "dtype", "") in KINDS for a in (*arrays, *expected)):
            continue
        values = dict(zip(names, arrays, strict=True))
        node = OnnxNode.of_proto(proto)
        try:
            made = carried_out(node, [given(op, values.get(name)) for name in node.inputs])
        except UserError as error:
            assert NOT_REBUILT.search(str(error)), case.name
            continue
        for one, other in zip(made, expected, strict=False):
            np.testing.assert_allclose(np.asarray(one), other, 1e-3, 1e-5, err_msg=case.name)
        checked += 1
    assert checked
