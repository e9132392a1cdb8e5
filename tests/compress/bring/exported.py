"""ONNX files of networks in torch, as users export them."""

import warnings
from pathlib import Path

import torch
from torch import nn

IMAGES = ("images",)


def export(
    network: nn.Module,
    path: Path,
    *,
    side: int | tuple[int, int] = 32,
    channels: int = 3,
    batch: int = 0,
    **more,
) -> Path:
    """Writes a file, for so many images; 0 for any number."""
    height, width = side if isinstance(side, tuple) else (side, side)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(batch or 2, channels, height, width),),
            str(path),
            **{
                "dynamo": False,
                "opset_version": 17,
                "input_names": IMAGES,
                "output_names": ("scores",),
                "dynamic_axes": None if batch else {"images": {0: "batch"}},
                **more,
            },
        )
    return path
