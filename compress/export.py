"""Writing a network as ONNX: the one export function.

The TorchScript exporter at opset 20: it keeps GELU in one node and is many times faster than the
dynamo exporter, which a test tries so that we can switch when it catches up.
"""

import copy
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import nn
from torch.onnx.errors import OnnxExporterError

from compress.compact import compact_
from search_spaces import CandidateError

OPSET, IR_VERSION = 20, 9
INPUT, OUTPUT = "images", "logits"


@torch.no_grad()
def export_onnx(
    network: nn.Module, path: Path, *, shape: Sequence[int], outputs: Sequence[str] = (OUTPUT,)
) -> None:
    """Write the network with a free batch axis and input "images".

    Args:
        network: From `compress`; in evaluation mode.
        path: The file; its folder must exist.
        shape: Of one image: channels, height and width in pixels.
        outputs: Names of what it gives.

    Raises:
        CandidateError: If the network cannot be exported.
        OSError: If the file cannot be written.
    """
    example = torch.zeros(1, *shape)
    buffer = io.BytesIO()
    plain = copy.deepcopy(network).to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*legacy TorchScript-based ONNX export.*")
            warnings.filterwarnings("ignore", message="The feature will be removed")
            warnings.filterwarnings("ignore", message="Constant folding - Only steps=1")
            # NOTE: instance norm has the image's own statistics in evaluation mode, too.
            warnings.filterwarnings("ignore", message=".*operator 'instance_norm' is set to train")
            warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)
            torch.onnx.export(
                plain,
                (example,),
                buffer,  # type: ignore[arg-type]  # file-like objects are accepted
                dynamo=False,
                opset_version=OPSET,
                do_constant_folding=False,
                input_names=[INPUT],
                output_names=list(outputs),
                dynamic_axes={name: {0: "batch"} for name in (INPUT, *outputs)},
            )
    except OnnxExporterError as error:
        raise CandidateError(f"cannot export to ONNX: {error}") from error
    model = onnx.load_from_string(buffer.getvalue())
    compact_(model)
    try:
        path.write_bytes(model.SerializeToString())
    except OSError as error:  # of a full disk, which does not name the file
        raise OSError(error.errno, error.strerror, str(path)) from error
