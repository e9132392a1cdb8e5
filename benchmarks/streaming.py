"""A folder of very many images: how fast it is listed, in how much memory, and how fast streamed.

python benchmarks/streaming.py --listed 1300000 --decoded 2000 --varied 64

Listing is of tiny files in 1000 class folders, in fresh processes whose peak memory includes the
interpreter and numpy. Streaming is of JPEG files of 500 x 375 px, as photographs in ImageNet have,
to 224 px: beside the decoder alone, called in one process for some of the files. Variations are of
batches in memory, on one thread.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from nas.data import load_data
from nas.data._decode import decode
from nas.data._streamed import streamed
from nas.system.environment import num_cores
from supernets.augmentations import AUGMENTATIONS, Varied
from supernets.augmentations._base import varied

NUM_CLASSES = 1000
PHOTO_CLASSES, PHOTO_SIZE, PHOTO_TO = 10, (500, 375), 224
BATCH, REPEATS = 64, 15
MEMORY = """
import json, re, sys, time
from pathlib import Path
def peak_mib():  # not getrusage, whose peak begins with that of the parent process
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024
"""
LIST = (
    MEMORY
    + """
from nas.data.image_folder import FolderSource
started = time.perf_counter()
source = FolderSource(Path(sys.argv[1]))
listed_s = time.perf_counter() - started
number = sum(1 for _ in source.stamps())
print(json.dumps([number, listed_s, time.perf_counter() - started, peak_mib()]))
"""
)
LOAD = (
    MEMORY
    + """
from nas.data import load_data
started = time.perf_counter()
data = load_data(sys.argv[1], cache=Path(sys.argv[2]), resolution=224, held_gb=1)
print(json.dumps([len(data.train), time.perf_counter() - started, peak_mib()]))
"""
)


def main() -> None:
    """Write the folders, time both, delete them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listed", type=int, default=1_300_000, help="tiny files; 0 for none")
    parser.add_argument("--decoded", type=int, default=2000, help="photographs; 0 for none")
    parser.add_argument("--varied", type=int, default=64, help="images of a batch; 0 for none")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.listed:
            time_listing(Path(folder), arguments.listed)
        if arguments.decoded:
            time_streaming(Path(folder), arguments.decoded)
    if arguments.varied:
        time_variations(arguments.varied)


def time_listing(folder: Path, number: int) -> None:
    """Time of a list of the files and their times of change, and of the first and later loads."""
    root = folder / "tiny"
    started = time.perf_counter()
    write_tiny(root, number)
    print(f"{number} files written in {time.perf_counter() - started:.0f} s")
    found, listed_s, stamped_s, peak = answer(LIST, root)
    print(
        f"listed {found}: names {listed_s:.1f} s, with sizes and times {stamped_s:.1f} s, "
        f"peak memory {peak:.0f} MiB"
    )
    for name in ("first", "second"):
        train, seconds, peak = answer(LOAD, root, folder / "cache")
        print(f"{name} load of {train} for train: {seconds:.1f} s, peak memory {peak:.0f} MiB")
    size = sum(file.stat().st_size for file in (folder / "cache").rglob("*") if file.is_file())
    print(f"kept in the cache: {size / 1e6:.0f} MB")


def time_streaming(folder: Path, number: int) -> None:
    """Images per second of the decoder alone, and of batches from 1 to all cores' decoders."""
    root = folder / "photos"
    write_photos(root, number)
    files = sorted(map(str, root.rglob("*.jpg")))[: min(number, 400)]
    started = time.perf_counter()
    for file in files:
        decode(file, file, is_grey=False, resolution=PHOTO_TO)
    seconds = time.perf_counter() - started
    print(f"decoder alone: {len(files) / seconds:.0f} images/s on one core")
    for decoders in range(1, num_cores() + 1):
        data = load_data(str(root), cache=folder / "cache", resolution=PHOTO_TO, held_gb=0)
        images = streamed(data.train)
        assert images is not None
        order_N = np.random.default_rng(0).permutation(len(data.train))
        steps = len(order_N) // BATCH

        def places(step: int) -> np.ndarray:
            return order_N[(step % steps) * BATCH : (step % steps + 1) * BATCH]  # noqa: B023

        images.batch(0, places, decoders=decoders)  # they have started
        started, cpu = time.perf_counter(), time.process_time()
        for step in range(1, steps):
            images.batch(step, places, decoders=decoders)
        seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
        rate = BATCH * (steps - 1) / seconds
        print(
            f"{decoders} decoders: {rate:.0f} images/s; this process used "
            f"{100 * cpu / seconds:.0f} % of a core, {1e6 * cpu / BATCH / (steps - 1):.0f} us "
            "an image"
        )


def time_variations(size: int) -> None:
    """Microseconds an image of every augmentation, median of some batches."""
    torch.set_num_threads(1)
    for side in (32, PHOTO_TO):
        images = torch.rand(size, 3, side, side, generator=torch.Generator().manual_seed(0))
        batch = Varied(images, torch.arange(size) % 10)
        for name in AUGMENTATIONS:
            seconds = []
            for step in range(REPEATS):
                started = time.perf_counter()
                varied(name, batch, seed=0, step=step)
                seconds.append(time.perf_counter() - started)
            each_us = 1e6 * statistics.median(seconds) / size
            print(f"{name} at {side} px: {each_us:.0f} us an image")


def answer(code: str, *arguments: Path) -> list[float]:
    """What a fresh process prints."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: list[float] = json.loads(done.stdout)
    return found


def write_tiny(root: Path, number: int) -> None:
    """The same picture of 8 px in so many files, evenly in class folders."""
    stream = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(stream, "JPEG")
    content = stream.getvalue()
    for label in range(NUM_CLASSES):
        folder = root / f"n{label:08d}"
        folder.mkdir(parents=True)
        for image in range(label, number, NUM_CLASSES):
            name = f"{folder}/n{label:08d}_{image}.JPEG"
            file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o644)
            os.write(file, content)
            os.close(file)


def write_photos(root: Path, number: int) -> None:
    """Smooth noise, which compresses about as photographs do."""
    width, height = PHOTO_SIZE
    for label in range(PHOTO_CLASSES):
        (root / f"class{label}").mkdir(parents=True)
    for image in range(number):
        rng = np.random.default_rng(image)
        coarse = rng.integers(0, 256, (height // 6, width // 6, 3), np.uint8)
        photo = Image.fromarray(coarse).resize(PHOTO_SIZE, Image.Resampling.BICUBIC)
        photo.save(root / f"class{image % PHOTO_CLASSES}" / f"{image}.jpg", quality=90)


if __name__ == "__main__":
    main()
