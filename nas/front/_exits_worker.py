"""Runs files on images in a process that sees neither torch nor any network of ours.

Started as a module by `nas/front/exits.py`. Reads from stdin one line of JSON and then raw uint8
images (NCHW). To answer, `{"file": path, "threads": number, "input": card's input, "batch": number,
"images": N, "shape": [C, H, W]}`: for every batch it writes one line of JSON, the `shapes` of the
file's outputs, and then these, raw float32. To be timed, the same with `"files"`, a list of paths,
and `"seed"`, and all images at once: it writes one line, `{"ms": [milliseconds of every image, in
their order, by file]}`. Before it ends it writes the list of top-level modules that were imported.

Images are timed one at a time, in an order drawn from the seed, by all files in an order drawn
anew. Of each call the one before it, on the same image, is not timed: it brings the weights back
into the caches, as in `nas/targets/_worker.py`.
"""

import gc
import json
import os
import random
import sys
import time
from typing import Any, BinaryIO

import numpy as np

from nas.front._verify_worker import normalise, read_images, say

SEVERITY_ERROR = 3


def opened(path: str, threads: int) -> Any:
    """A session of onnxruntime, whose idle threads sleep."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = SEVERITY_ERROR
    options.add_session_config_entry("session.force_spinning_stop", "1")
    return ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def answer(job: dict[str, Any], images: BinaryIO, said: BinaryIO) -> None:
    """Answers batch after batch."""
    session, name = opened(job["file"], job["threads"]), job["input"]["name"]
    for start in range(0, job["images"], job["batch"]):
        size = min(job["batch"], job["images"] - start)
        x_NCHW = normalise(read_images(images, (size, *job["shape"])), job["input"])
        outputs = [np.ascontiguousarray(y, np.float32) for y in session.run(None, {name: x_NCHW})]
        say(said, {"shapes": [output.shape for output in outputs]}, outputs)


def time_images(job: dict[str, Any], images: BinaryIO, said: BinaryIO) -> None:
    """Times all images on all files."""
    sessions, name = [opened(file, job["threads"]) for file in job["files"]], job["input"]["name"]
    images_NCHW = read_images(images, (job["images"], *job["shape"]))
    rng = random.Random(job["seed"])
    ms = np.zeros((len(sessions), len(images_NCHW)))
    gc.disable()
    for image in rng.sample(range(len(images_NCHW)), len(images_NCHW)):
        feed = {name: normalise(images_NCHW[image : image + 1], job["input"])}
        for file in rng.sample(range(len(sessions)), len(sessions)):
            sessions[file].run(None, feed)
            started = time.perf_counter_ns()
            sessions[file].run(None, feed)
            ms[file, image] = (time.perf_counter_ns() - started) / 1e6
    say(said, {"ms": ms.tolist()})


def main() -> None:
    """Does the job on stdin."""
    said = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what libraries print is no answer
    job = json.loads(sys.stdin.buffer.readline())
    work = time_images if "files" in job else answer
    work(job, sys.stdin.buffer, said)
    say(said, sorted({name.partition(".")[0] for name in sys.modules}))


if __name__ == "__main__":
    main()
