"""Does the scored module answer like the exported file? On a finished run.

    python benchmarks/parity.py RUN

Compares argmaxes of the simulated network (torch) and of onnxruntime's integer kernels on the whole
test split, for trials of different operators, precisions and sparsities.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch

from compress.export import export_onnx
from nas.data import load_data
from nas.run.directory import read_config_of, read_space
from nas.scoring.scorer import Scorer
from nas.targets import TARGETS
from search_spaces import SearchSpace
from supernets.checkpoint import read_tensors
from supernets.supernet import Supernet


def main() -> None:
    """Print one line per candidate."""
    import onnxruntime  # after `nas`, which turns its telemetry off

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--candidates", type=int, default=8)
    arguments = parser.parse_args()
    config, space = read_config_of(arguments.run), read_space(arguments.run)
    data = load_data(config.data, resolution=config.resolution or None, seed=config.seed)
    supernet = Supernet(space)
    supernet.load_state_dict(read_tensors(arguments.run / "supernet.safetensors")[0])
    scorer = Scorer(supernet.eval(), data, 1000)
    images = data.normalised(data.test.images_NCHW)
    worst = 1.0
    for encoding in candidates(space, arguments.candidates):
        candidate = space.candidate(encoding)
        network = scorer.compressed(candidate).network
        with torch.no_grad():
            batches = torch.from_numpy(images).split(128)
            simulated = torch.cat([network(b) for b in batches]).numpy()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "model.onnx"
            export_onnx(network, file, shape=images.shape[1:])
            session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
            parts = np.array_split(images, max(1, len(images) // 128))
            exported = np.concatenate([session.run(None, {"images": p})[0] for p in parts])
            kernels = TARGETS.get("onnxruntime")().integer_kernels(file)
        same = float((simulated.argmax(1) == exported.argmax(1)).mean())
        worst = min(worst, same)
        operators = " ".join(str(v) for n, v in candidate.arch.items() if n.endswith("operator"))
        print(
            f"{candidate.key} same argmax {same:.4f} of {len(images)}, {kernels} integer kernels, "
            f"policy {list(candidate.policy.values())}, {operators}"
        )
    print(f"worst {worst:.4f}")


def candidates(space: SearchSpace, n: int) -> list[list[int]]:
    """`n` random candidates: every operator fills one of the first ones, all int8, then mixed."""
    rng = np.random.default_rng(5)
    found = space.sample(rng, n)
    precision = [i for i, c in enumerate(space.choices) if c.name.endswith(".precision")]
    operators = [i for i, c in enumerate(space.choices) if c.name.endswith(".operator")]
    for number, encoding in enumerate(found):
        if number < len(space.choices[operators[0]].options):
            encoding[operators] = number
            encoding[precision] = space.cardinalities[precision[0]] - 1
    return found.tolist()


if __name__ == "__main__":
    main()
