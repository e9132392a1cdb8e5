"""What the contract of targets does not say of openvino."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from nas.latency.measure import export_random
from nas.targets import Timing, choose, measure
from nas.testing.targets import fp32_file
from search_spaces import UserError, load_space

ROOT = Path(__file__).parents[3]
ANSWER = """
import sys
import numpy as np
from nas.front._verify_worker import OPENERS
from nas.targets import choose

folder, *texts = sys.argv[1:]
images = np.load(f"{folder}/images.npy")
for number, text in enumerate(texts):
    by = choose(text).target.answered_by
    run = OPENERS[by.runtime](threads=1, **by.options)(f"{folder}/a.onnx", "images")
    np.save(f"{folder}/{number}.npy", run(images))
"""
"""Of several targets, in a process that verifies files by them."""

INTERRUPTED = """
import faulthandler, os, signal, sys
faulthandler.enable()  # has signal handlers a stack of their own
from pathlib import Path
from nas.targets import choose

signal.signal(signal.SIGINT, signal.default_int_handler)
first, second = (choose("openvino").target.prepare(Path(f), threads=1, batch=1) for f in sys.argv[1:])
del first
del second
try:
    os.kill(os.getpid(), signal.SIGINT)
    signal.pause()
except KeyboardInterrupt:
    print("interrupted")
"""


def test_a_precision_that_there_is_not_is_refused_without_openvino() -> None:
    with pytest.raises(UserError, match=r"precision is 'f64'\. Known: f32, bf16"):
        choose("openvino:precision=f64")


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")
def test_its_precision_is_recorded_and_that_of_what_verifies(tmp_path: Path) -> None:
    chosen = choose("openvino:precision=bf16,batch=4")
    assert chosen.target.answered_by.options == {"precision": "bf16", "quantizes_inputs": False}
    (timing,) = measure(chosen.text, [fp32_file(tmp_path)], processes=1, budget_s=0.1)
    assert isinstance(timing, Timing)
    assert (timing.runtime, timing.options, timing.batch) == ("openvino", "precision=bf16", 4)
    assert Timing.from_json(timing.to_json()) == timing


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")
def test_a_process_in_which_it_has_computed_can_be_interrupted(tmp_path: Path) -> None:
    file = str(fp32_file(tmp_path))
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, file, file], cwd=ROOT, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")
def test_formats_of_weights_alone_answer_as_the_file_says_unless_asked_otherwise(
    tmp_path: Path,
) -> None:
    space = load_space("mixer", resolution=16, channels=1, num_classes=10)
    space = space.with_policy(("int8w",), (0.0,))
    assert space.costs is not None
    slots = space.slots(space.canonical(space.costs.minimum("macs")[1]))
    export_random(slots, tmp_path / "a.onnx")
    images = np.random.default_rng(0).standard_normal((8, 1, 16, 16)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    texts = ("onnxruntime", "openvino", "openvino:quantizes_inputs=true")
    subprocess.run([sys.executable, "-c", ANSWER, str(tmp_path), *texts], cwd=ROOT, check=True)
    of_file, plain, asked = (np.load(tmp_path / f"{number}.npy") for number in range(3))
    exact, quantized = (float(np.abs(found - of_file).max()) for found in (plain, asked))
    assert exact < 1e-5 < quantized
