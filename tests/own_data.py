"""A user's own images as small real files: class folders, Parquet and .npz."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def picture(seed: int, width: int = 16, height: int | None = None) -> Image.Image:
    """RGB noise."""
    shape = (height or width, width, 3)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, np.uint8))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def write_classes(root: Path, counts: Mapping[str, int], *, width: int = 16, seed: int = 0) -> Path:
    """A folder of class folders with so many PNG files each; returns it."""
    for offset, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            image = picture(10**6 * seed + 10**4 * offset + number, width)
            image.save(root / name / f"{number:03d}.png")
    return root


def write_masks(
    root: Path,
    count: int,
    *,
    classes: int = 3,
    width: int = 16,
    names: tuple[str, str] = ("images", "masks"),
) -> Path:
    """Folders of so many JPEG files and their masks in PNG; returns the one that holds them."""
    images, masks = (root / name for name in names)
    for folder in (images, masks):
        folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        numbers = rng.integers(0, classes, (4, 4)).astype(np.uint8)
        numbers[0, 0] = 255
        mask = np.kron(numbers, np.ones((width // 4, width // 4), np.uint8))
        picture(number, width).save(images / f"{number:03d}.jpg")
        Image.fromarray(mask).save(masks / f"{number:03d}.png")
    return root


def write_parquet(
    path: Path,
    labels: Sequence[object],
    *,
    names: Sequence[str] | None = ("cat", "dog"),
    images: Sequence[bytes | None] | None = None,
    columns: tuple[str, str] = ("image", "label"),
    seed: int = 0,
) -> Path:
    """A file in the Hugging Face image layout; returns it.

    Args:
        path: The file; its folder is created.
        labels: One per image.
        names: Of the ClassLabel; None for a file without metadata.
        images: Encoded; None for noise of 16 px.
        columns: Names of the columns for images and labels.
        seed: Of the noise.
    """
    if images is None:
        images = [encoded(picture(1000 * seed + i)) for i in range(len(labels))]
    cells = [{"bytes": content, "path": None} for content in images]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({columns[0]: pa.array(cells, kind), columns[1]: pa.array(labels)})
    if names is not None:
        label = {"_type": "ClassLabel", "names": list(names)}
        features = {columns[0]: {"_type": "Image"}, columns[1]: label}
        document = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": document})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path
