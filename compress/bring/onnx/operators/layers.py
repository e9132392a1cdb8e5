"""Convolutions, linear layers, norms and products of activations."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from compress.bring.onnx._graph import OnnxNode
from compress.bring.onnx.operators._base import operator, padded, padding_of, refused, tensor

LINEAR = "Linear"
"""Ours: a matrix as torch has it, and a bias, of which files write a product and an addition."""

CONVOLUTIONS = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


@operator("Conv")
def _conv(node: OnnxNode, x: Tensor, weight: Any, bias: Any = None) -> Tensor:
    weight = tensor(weight)
    kernel = list(weight.shape[2:])
    x, padding = padded(x, *padding_of(node, x, kernel), [])
    return CONVOLUTIONS[len(kernel)](
        x,
        weight,
        None if bias is None else tensor(bias),
        node.settings.get("strides", [1] * len(kernel)),
        padding,
        node.settings.get("dilations", [1] * len(kernel)),
        node.settings.get("group", 1),
    )


@operator("ConvTranspose")
def _conv_transpose(node: OnnxNode, x: Tensor, weight: Any, bias: Any = None) -> Tensor:
    weight = tensor(weight)
    before, behind = padding_of(node, x, list(weight.shape[2:]))
    has_mode = node.settings.get("auto_pad", "NOTSET") != "NOTSET"
    if before != behind or "output_shape" in node.settings or weight.dim() != 4 or has_mode:
        raise refused(node, "its padding is not the same for all sides and given in numbers")
    return functional.conv_transpose2d(
        x,
        weight,
        None if bias is None else tensor(bias),
        node.settings.get("strides", [1, 1]),
        before,
        node.settings.get("output_padding", [0, 0]),
        node.settings.get("group", 1),
        node.settings.get("dilations", [1, 1]),
    )


@operator(LINEAR)
def _linear(node: OnnxNode, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return functional.linear(x, weight, bias)


@operator("Gemm")
def _gemm(node: OnnxNode, a: Any, b: Any, c: Any = None) -> Tensor:
    a, b = tensor(a), tensor(b)
    a = a.t() if node.settings.get("transA") else a
    b = b.t() if node.settings.get("transB") else b
    product = (a @ b) * node.settings.get("alpha", 1.0)
    return product if c is None else product + tensor(c) * node.settings.get("beta", 1.0)


@operator("MatMul")
def _matmul(node: OnnxNode, x: Any, y: Any) -> Tensor:
    return tensor(x) @ tensor(y)


@operator("Einsum")
def _einsum(node: OnnxNode, *values: Any) -> Tensor:
    return torch.einsum(node.settings["equation"], *map(tensor, values))


@operator("BatchNormalization")
def _batch_norm(node: OnnxNode, x: Tensor, *weights: Any) -> Tensor:
    if node.settings.get("training_mode"):
        raise refused(node, "the file was exported in training mode")
    scale, bias, mean, variance = map(tensor, weights)
    epsilon = node.settings.get("epsilon", 1e-5)
    return functional.batch_norm(x, mean, variance, scale, bias, False, 0.1, epsilon)


@operator("LayerNormalization")
def _layer_norm(node: OnnxNode, x: Tensor, scale: Any = None, bias: Any = None) -> Tensor:
    shape = list(x.shape[node.settings.get("axis", -1) :])
    weight, offset = (None if each is None else tensor(each) for each in (scale, bias))
    return functional.layer_norm(x, shape, weight, offset, node.settings.get("epsilon", 1e-5))


@operator("InstanceNormalization")
def _instance_norm(node: OnnxNode, x: Tensor, scale: Any, bias: Any) -> Tensor:
    epsilon = node.settings.get("epsilon", 1e-5)
    return functional.instance_norm(x, weight=tensor(scale), bias=tensor(bias), eps=epsilon)


@operator("GroupNormalization")
def _group_norm(node: OnnxNode, x: Tensor, scale: Any, bias: Any) -> Tensor:
    weight, offset, groups = tensor(scale), tensor(bias), node.settings["num_groups"]
    if len(weight) != x.shape[1]:  # before opset 21: one per group
        each = x.shape[1] // groups
        weight, offset = weight.repeat_interleave(each), offset.repeat_interleave(each)
    return functional.group_norm(x, groups, weight, offset, node.settings.get("epsilon", 1e-5))


@operator("LRN")
def _lrn(node: OnnxNode, x: Tensor) -> Tensor:
    alpha, beta, bias = (
        node.settings.get(name, default)
        for name, default in (("alpha", 1e-4), ("beta", 0.75), ("bias", 1.0))
    )
    return functional.local_response_norm(x, node.settings["size"], alpha, beta, bias)
