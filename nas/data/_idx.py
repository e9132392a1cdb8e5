"""Reading IDX files, the format of MNIST and its descendants.

A gzip stream of: two zero bytes, one byte for the type of the values (8: unsigned byte), one byte
for the number of dimensions, each dimension as a big-endian 32 bit number, then the values.

Source: LeCun, Cortes, Burges, The MNIST Database of Handwritten Digits (1998).
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from nas.data._base import UInt8Array
from search_spaces import UserError

UNSIGNED_BYTE = 8


def read_idx(path: Path, shape: tuple[int, ...]) -> UInt8Array:
    """The values of a gzipped IDX file.

    Raises:
        UserError: If the file cannot be read, is damaged, or holds another shape.
    """
    try:
        with gzip.open(path) as file:
            content = file.read()
    except (OSError, EOFError, zlib.error) as error:
        raise _unusable(path, f"cannot be unpacked: {error}") from error
    header = bytes([0, 0, UNSIGNED_BYTE, len(shape)]) + np.array(shape, ">u4").tobytes()
    if content[:4] != header[:4]:
        start = content[:4].hex() or "nothing"
        raise _unusable(path, f"starts with {start} instead of {header[:4].hex()}")
    if len(content) < len(header):
        raise _unusable(path, "ends inside its header")
    found = tuple(int(size) for size in np.frombuffer(content[4 : len(header)], ">u4"))
    if found != shape:
        raise _unusable(path, f"holds {_times(found)} values instead of {_times(shape)}")
    num_values = len(content) - len(header)
    if num_values != math.prod(shape):
        expected = f"{math.prod(shape):,}"
        raise _unusable(path, f"holds {num_values:,} bytes of values instead of {expected}")
    return np.frombuffer(content, np.uint8, offset=len(header)).reshape(shape)


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{size:,}" for size in shape)


def _unusable(path: Path, found: str) -> UserError:
    return UserError(f"data file '{path}' {found}. Replace it with a fresh copy.")
