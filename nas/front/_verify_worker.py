"""Runs exported files on images, with their runtime, numpy and the standard library alone.

Run by path (`python -I nas/front/_verify_worker.py`), so that nothing of this project can be
imported: what comes back is what the exported files answer to whoever gets them.
`nas/front/verify.py` starts it and judges the answers.

Reads from stdin one line of JSON: `{"runtime": name, "options": {name: value}, "threads": number,
"input": card's input, "files": {name: path}, "splits": {name: {"images": N, "shape": [C, H, W]}}}`;
what a runtime is, and its options, `OPENERS` say. Writes to stdout one line of JSON, per
file `{"bytes", "sha256"}` or `{"error"}`. Then, split after split and batch after batch, it reads
raw uint8 images (NCHW) and writes one line of JSON, per file `{"shape": [N, K]}` or `{"error"}`
(after which the file is left out), followed by the outputs of the files in that order, raw float32.
In the end it writes the list of top-level modules that were imported.

Shapes: `N` images of a batch, `C` channels, `H W` pixels, `K` outputs.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

_BATCH = 64
_SEVERITY_ERROR = 3
_GROUP_SIZE = 32
_PROVIDERS: dict[str, list[Any]] = {
    "cpu": ["CPUExecutionProvider"],
    "cuda": [("CUDAExecutionProvider", {"use_tf32": "0"}), "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CPUExecutionProvider"],
}


def normalise(images_NCHW: np.ndarray, rule: dict[str, Any]) -> np.ndarray:
    """The card's input rule: (image / scale - mean) / std, float32."""
    mean_C11 = np.array(rule["mean"], np.float32)[:, None, None]
    std_C11 = np.array(rule["std"], np.float32)[:, None, None]
    return (images_NCHW.astype(np.float32) / np.float32(rule["scale"]) - mean_C11) / std_C11


Run = Callable[[np.ndarray], np.ndarray]
"""From normalised images (N, C, H, W), at most `_BATCH`, to outputs (N, K)."""

Open = Callable[[str, str], Run]
"""From the path of a file and the name of its input to a call that runs it."""


def onnxruntime(threads: int, provider: str = "cpu") -> Open:
    """By onnxruntime.

    Args:
        threads: That it may use.
        provider: Whose kernels run.
    """
    import onnxruntime as ort

    def open_file(path: str, name: str) -> Run:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = _SEVERITY_ERROR
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        session = ort.InferenceSession(path, options, providers=_PROVIDERS[provider])

        def run(x_NCHW: np.ndarray) -> np.ndarray:
            (output_NK,) = session.run(None, {name: x_NCHW})
            return np.asarray(output_NK)

        return run

    return open_file


def openvino(threads: int, precision: str, quantizes_inputs: bool) -> Open:
    """By OpenVINO on the processor, compiled for whole batches: the last one is filled up.

    Args:
        threads: That it may use.
        precision: In which it computes what is floating-point.
        quantizes_inputs: Whether it quantizes inputs of layers whose weights alone are quantized.

    NOTE: importing it sends an event and writes into the home folder, unless its package for that
    cannot be found.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino as ov

    core = ov.Core()

    def open_file(path: str, name: str) -> Run:
        model = core.read_model(path)
        _, *shape = model.input(name).partial_shape
        model.reshape({name: [_BATCH, *shape]})
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
            "PERFORMANCE_HINT": "LATENCY",
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP_SIZE if quantizes_inputs else 0,
        }
        request = core.compile_model(model, "CPU", options).create_infer_request()

        def run(x_NCHW: np.ndarray) -> np.ndarray:
            filled_NCHW = np.zeros((_BATCH, *x_NCHW.shape[1:]), np.float32)
            filled_NCHW[: len(x_NCHW)] = x_NCHW
            request.infer({name: filled_NCHW})
            return np.array(request.get_output_tensor(0).data[: len(x_NCHW)])

        return run

    return open_file


OPENERS: dict[str, Callable[..., Open]] = {"onnxruntime": onnxruntime, "openvino": openvino}


def facts_of(path: str) -> dict[str, Any]:
    """Size and digest of a file."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"bytes": os.path.getsize(path), "sha256": digest}


def answer(job: dict[str, Any], images: BinaryIO, said: BinaryIO) -> None:
    """Answers a job, as the module's docstring says."""
    open_file = OPENERS[job["runtime"]](job["threads"], **job["options"])
    facts: dict[str, dict[str, Any]] = {}
    runs: dict[str, Run] = {}
    for name, path in job["files"].items():
        try:
            facts[name] = facts_of(path)
            runs[name] = open_file(path, job["input"]["name"])
        except Exception as error:  # onnxruntime raises a dozen unrelated classes
            facts[name] = {"error": str(error)}
    say(said, facts)
    for split in job["splits"].values():
        for start in range(0, split["images"], _BATCH):
            size = min(_BATCH, split["images"] - start)
            x_NCHW = normalise(read_images(images, (size, *split["shape"])), job["input"])
            heads: dict[str, dict[str, Any]] = {}
            outputs = []
            for name in list(runs):
                try:
                    output_NK = runs[name](x_NCHW)
                except Exception as error:
                    heads[name] = {"error": str(error)}
                    del runs[name]
                    continue
                heads[name] = {"shape": output_NK.shape}
                outputs.append(np.ascontiguousarray(output_NK, np.float32))
            say(said, heads, outputs)


def say(said: BinaryIO, document: Any, outputs: list[np.ndarray] | None = None) -> None:
    """A line of JSON, and numbers after it."""
    said.write(json.dumps(document).encode() + b"\n")
    for output in outputs or ():
        said.write(output.tobytes())
    said.flush()


def read_images(stream: BinaryIO, shape: tuple[int, ...]) -> np.ndarray:
    """The next images of the stream, uint8."""
    wanted = int(np.prod(shape))
    data = stream.read(wanted)
    if len(data) != wanted:
        raise EOFError(f"expected {wanted} bytes of images, got {len(data)}")
    return np.frombuffer(data, np.uint8).reshape(shape)


def main() -> None:
    """Runs the job on stdin."""
    said = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    answer(json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer, said)
    say(said, sorted({name.partition(".")[0] for name in sys.modules}))


if __name__ == "__main__":
    main()
