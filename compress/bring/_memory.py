"""Files of strangers are refused before they take more memory than the machine can give.

A file of some kilobytes can claim an array of terabytes, or unpack to one. Sizes are looked at
first: those that arrays claim, those of the parts of an archive, and those that operations on
numbers would make.
"""

import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from search_spaces import UserError

SHARE = 0.5
"""Of the machine's memory that a network may take while it is read."""

UNKNOWN_BYTES = 8 << 30
"""Memory of machines that do not say."""

UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB", "EB")


def most_bytes() -> int:
    """What a network may take while it is read."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        memory = UNKNOWN_BYTES
    return int(SHARE * memory)


def refuse_large(what: str, claim: str, num_bytes: int) -> None:
    """Refuses what would take too much memory.

    Args:
        what: The file, such as "model 'a.onnx'".
        claim: What of it is so large, such as "its weights take".
        num_bytes: How much.

    Raises:
        UserError: If it is more than `most_bytes`.
    """
    most = most_bytes()
    if num_bytes > most:
        raise UserError(
            f"{what} cannot be read: {claim} {in_words(num_bytes)}, and at most {in_words(most)}, "
            "half of this machine's memory, may be taken. Is the file from somebody you know? "
            "Export it again, or use a machine with more memory."
        )


def in_words(num_bytes: int) -> str:
    """Bytes in the largest unit of which there is one at least."""
    place = min(max(0, (len(str(num_bytes)) - 1) // 3), len(UNITS) - 1)
    return f"{num_bytes / 1000**place:.3g} {UNITS[place]}"


def refuse_bomb(what: str, path: Path) -> None:
    """Refuses an archive of torch's whose parts take more room than the file itself.

    Torch packs nothing, so such a file was made to be small. Python's reader looks first, because
    torch's unpacks a part to open an archive; then torch's own, which may find other parts.

    Args:
        what: The file.
        path: Of it; nothing is said about what is no archive.

    Raises:
        UserError: If it is larger than that.
    """
    own = path.stat().st_size
    refuse_large(what, "the file has", own)
    if not zipfile.is_zipfile(path):
        return
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        if unpacked <= own:
            reader = torch._C.PyTorchFileReader(str(path))
            unpacked = sum(map(reader.get_record_size, reader.get_all_records()))
    except (OSError, ValueError, RuntimeError, zipfile.BadZipFile):
        return  # damaged: whoever reads it says so
    if unpacked > own:
        raise UserError(
            f"{what} cannot be read: it has {in_words(own)} and unpacks to {in_words(unpacked)}. "
            "Torch packs nothing: write it again with torch.save or torch.export.save."
        )


def bytes_of(values: Iterable[object]) -> int:
    """What the tensors among some values would take if each was a copy."""
    return sum(t.numel() * t.element_size() for t in values if isinstance(t, Tensor))
