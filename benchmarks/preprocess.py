"""Is a card's accuracy that of the original files? Five kinds of images, a short search of each.

    python benchmarks/preprocess.py [--time 40s]

Every ONNX file of every front member is given each file of val and test through `nas.preprocess`,
one at a time, by onnxruntime alone. Its right answers are compared with those in the card.

Shape suffixes: H W pixels, C channels, K classes.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import nas

CLASSES = ("flat", "rising", "falling")
COUNTS = {"train": 150, "val": 60, "test": 80}
"""Images of each class."""

SPLITS = {"search": "val", "test": "test"}
"""Splits of a card, and the folders of their files."""

SIDES = (24, 32)
ORIENTATIONS: Mapping[int, Image.Transpose | None] = {
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}
"""By EXIF orientation, how an upright picture is stored."""


def rgb(values_HW: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """Of a random colour."""
    colour_C = rng.uniform(0.5, 1, 3)
    return Image.fromarray((255 * values_HW[..., None] * colour_C).astype(np.uint8))


def write_rgb(stem: Path, values_HW: np.ndarray, rng: np.random.Generator) -> None:
    """8-bit RGB PNG."""
    rgb(values_HW, rng).save(stem.with_suffix(".png"))


def write_palette(stem: Path, values_HW: np.ndarray, rng: np.random.Generator) -> None:
    """PNG with a palette and alpha: dark pixels are transparent."""
    image = rgb(values_HW, rng)
    image.putalpha(Image.fromarray((255 * values_HW).astype(np.uint8)))
    image.quantize(64, method=Image.Quantize.FASTOCTREE).save(stem.with_suffix(".png"))


def write_turned(stem: Path, values_HW: np.ndarray, rng: np.random.Generator) -> None:
    """JPEG that its EXIF orientation turns upright."""
    orientation = int(rng.choice(list(ORIENTATIONS)))
    image, turn = rgb(values_HW, rng), ORIENTATIONS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image if turn is None else image.transpose(turn)
    stored.save(stem.with_suffix(".jpg"), exif=exif)


def write_twelve_bits(stem: Path, values_HW: np.ndarray, rng: np.random.Generator) -> None:
    """16-bit grey PNG whose values are below 4,000."""
    del rng
    Image.fromarray((4000 * values_HW).astype(np.uint16)).save(stem.with_suffix(".png"))


def write_float(stem: Path, values_HW: np.ndarray, rng: np.random.Generator) -> None:
    """TIFF of 32-bit floats from -2 to 3."""
    del rng
    Image.fromarray((5 * values_HW - 2).astype(np.float32)).save(stem.with_suffix(".tif"))


KINDS: Mapping[str, Callable[[Path, np.ndarray, np.random.Generator], None]] = {
    "8-bit RGB, PNG": write_rgb,
    "palette with alpha, PNG": write_palette,
    "EXIF orientation, JPEG": write_turned,
    "16-bit grey of 12 bits, PNG": write_twelve_bits,
    "float, TIFF": write_float,
}


HEAD = "| kind | members, ONNX files | search: card, again, of | test: card, again, of | equal |"


def main() -> None:
    """Print one row per kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", default="40s", help="of each search")
    arguments = parser.parse_args()
    print(f"{HEAD}\n|---|---|---|---|---|")
    for number, (kind, write) in enumerate(KINDS.items()):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "images"
            write_images(root, write, np.random.default_rng(number))
            run = nas.search(
                space="toy",
                data=root,
                time=arguments.time,
                out=Path(folder) / "run",
                cache=str(Path(folder) / "cache"),
                progress=False,
            )
            print(row(kind, run, root), flush=True)


def write_images(
    root: Path,
    write: Callable[[Path, np.ndarray, np.random.Generator], None],
    rng: np.random.Generator,
) -> None:
    """Folders of splits with class folders in them."""
    for split, count in COUNTS.items():
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                write(folder / f"{number:03d}", bar(rng, label), rng)


def bar(rng: np.random.Generator, label: int) -> np.ndarray:
    """A bright bar at 60 degrees times the label, in noise: (H, W) from 0 to 1."""
    height, width = SIDES
    y_HW, x_HW = np.mgrid[:height, :width] - np.array([height, width])[:, None, None] / 2
    angle = np.pi / 3 * label
    distance_HW = x_HW * np.sin(angle) - y_HW * np.cos(angle) - rng.uniform(-4, 4)
    values_HW = 0.3 + 0.3 * (np.abs(distance_HW) < 2) + rng.normal(0, 0.25, SIDES)
    return values_HW.clip(0, 1)


def row(kind: str, run: nas.Run, root: Path) -> str:
    """A line of the table: right answers of all files of all members, by card and counted again."""
    keys = [key for key, member in run.members.items() if not member.row.is_reference]
    of_card, again = dict.fromkeys(SPLITS, 0), dict.fromkeys(SPLITS, 0)
    judged, num_files, is_equal = dict.fromkeys(SPLITS, 0), 0, True
    for key in keys:
        member = run.members[key]
        for name in (name for name in member.card["files"] if name.endswith(".onnx")):
            num_files += 1
            for split, folder in SPLITS.items():
                record = member.card["files"][name]["accuracy"][split]
                right = num_right(member.path / name, member.card, root / folder)
                is_equal &= right == record["correct"]
                of_card[split] += record["correct"]
                again[split] += right
                judged[split] += record["total"]
    counts = (f"{of_card[split]}, {again[split]}, {judged[split]}" for split in SPLITS)
    verdict = "yes" if is_equal else "NO"
    return f"| {kind} | {len(keys)}, {num_files} | {' | '.join(counts)} | {verdict} |"


def num_right(file: Path, card: dict[str, Any], folder: Path) -> int:
    """How many files of a split's class folders a network calls by their folder's name."""
    import onnxruntime  # after `nas`, which turns its telemetry off

    session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    right = 0
    for image in sorted(folder.glob("*/*")):
        x_NCHW = nas.preprocess(card, image)
        (logits_NK,) = session.run(None, {card["input"]["name"]: x_NCHW})
        right += card["classes"][int(logits_NK.argmax())] == image.parent.name
    return right


if __name__ == "__main__":
    main()
