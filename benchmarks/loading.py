"""How fast a folder of images is read the first and the second time, and in how much memory.

python benchmarks/loading.py --images 20000 --size 64 [--own 64] [--kind JPEG]

Each load is a fresh process, whose peak memory includes the interpreter and numpy.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

NUM_CLASSES = 100
LOAD = """
import json, re, sys, time
from pathlib import Path
from nas.data import load_data
def peak_mib():  # not getrusage, whose peak begins with that of the parent process
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1]) / 1024
before, started, cpu = peak_mib(), time.perf_counter(), time.process_time()
data = load_data(sys.argv[1], cache=Path(sys.argv[2]), resolution=int(sys.argv[3]))
seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
print(json.dumps([seconds, cpu, before, peak_mib()]))
"""


def main() -> None:
    """Write the folder, load it twice, print the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=64, help="side to which images are brought")
    parser.add_argument("--own", type=int, default=0, help="side of the files' images [--size]")
    parser.add_argument("--kind", default="JPEG", help="JPEG, PNG or another of Pillow's names")
    arguments = parser.parse_args()
    own = arguments.own or arguments.size
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        write(root, arguments.images, own, arguments.kind)
        pixels_mib = arguments.images * 3 * arguments.size**2 / 2**20
        print(f"{arguments.images} {arguments.kind} files of {own} px to {arguments.size} px")
        print(f"decoded: {pixels_mib:.0f} MiB")
        for name in ("first", "second"):
            command = [sys.executable, "-c", LOAD, root, f"{folder}/cache", str(arguments.size)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            seconds, cpu_s, before_mib, peak_mib = json.loads(done.stdout)
            print(
                f"{name} load: {seconds:.2f} s ({cpu_s:.2f} s of processor time), "
                f"{arguments.images / seconds:.0f} images/s, "
                f"peak memory {peak_mib:.0f} MiB ({before_mib:.0f} MiB before)"
            )


def write(root: Path, num_images: int, side: int, kind: str) -> None:
    """Class folders of smooth noise, which compresses about as photographs do."""
    for label in range(NUM_CLASSES):
        (root / f"class{label:03d}").mkdir(parents=True)

    def save(number: int) -> None:
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (side // 4, side // 4, 3), np.uint8))
        image = coarse.resize((side, side), Image.Resampling.BICUBIC)
        image.save(root / f"class{number % NUM_CLASSES:03d}" / f"{number}.{kind.lower()}", kind)

    with ThreadPoolExecutor() as pool:
        list(pool.map(save, range(num_images)))


if __name__ == "__main__":
    main()
