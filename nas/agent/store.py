"""ONNX files by what is in them: each under its SHA-256, the longest unused thrown out.

    DIGEST.onnx              a whole file that stands alone
    .DIGEST.NUMBER.part      one that is being received; deleted when the agent begins

The folder may be kept from one start to the next; files are compared with their names again before
the first use, and whatever else lies there stays untouched.
"""

import hashlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import final

from nas.system.files import digest_of, make_folder
from nas.targets._agent import DIGEST
from nas.targets._onnx_wire import LARGEST_FILE, check_stands_alone
from search_spaces import CandidateError

ENDING, PART = ".onnx", ".part"
CHUNK = 1 << 16


class BusyError(Exception):
    """What else the device does would disturb this, or be disturbed by it."""


class TooLargeError(ValueError):
    """A file is larger than all that is kept."""


class RefusedError(ValueError):
    """A file is not what its sender says, or no ONNX file that stands alone."""


class UnwritableError(Exception):
    """What arrives cannot be written, because the disk is full or the folder has gone."""


@final
class Store:
    """The files of a folder.

    Args:
        folder: Made if it is missing.
        most_bytes: Of all files together.

    Raises:
        UserError: If something else is in the folder's place.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = make_folder(folder).resolve()
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._checked: set[str] = set()
        self._is_claimed = False
        self._num_arriving = self._arriving_bytes = 0
        for part in self._folder.glob(f".*{PART}"):
            part.unlink(missing_ok=True)

    @property
    def most_bytes_of_a_file(self) -> int:
        """A larger one is refused."""
        return min(LARGEST_FILE, self._most_bytes)

    def path(self, digest: str) -> Path:
        """Where a file lies, or would lie."""
        assert DIGEST.fullmatch(digest), digest
        return self._folder / f"{digest}{ENDING}"

    def claim(self, digests: Sequence[str]) -> list[str]:
        """Those that are missing, each once; the others count as used now.

        If none is, nothing is received or thrown out until `release`.

        Raises:
            BusyError: If a file is arriving.
        """
        with self._lock:
            if self._num_arriving:
                raise BusyError("a file is arriving")
            missing = [digest for digest in dict.fromkeys(digests) if not self._has(digest)]
            self._is_claimed = not missing
            return missing

    def release(self) -> None:
        """Files may come and go again."""
        with self._lock:
            self._is_claimed = False

    def receive(self, digest: str, num_bytes: int, read: Callable[[int], bytes]) -> None:
        """Write a file as it arrives; afterwards it is there, whole and looked at, or it is not.

        Args:
            digest: By which it will be known.
            num_bytes: How long it is.
            read: Gives at most so many bytes more; b"" if nothing more comes.

        Raises:
            BusyError: If the files are claimed.
            TooLargeError: If there is no place for it.
            RefusedError: If it is not what was announced, or does not stand alone.
            UnwritableError: If the disk is full or the folder cannot be written.
            OSError: If the connection breaks.
        """
        part = self._folder / f".{digest}.{next(self._numbers)}{PART}"
        with self._place_for(num_bytes):
            try:
                found = _written(part, num_bytes, read)
                if found != digest:
                    raise RefusedError(f"what arrived has the SHA-256 {found} and not {digest}")
                try:
                    check_stands_alone(part)
                except CandidateError as error:
                    raise RefusedError(str(error).replace(str(part), digest)) from error
                with self._lock:
                    with _writing():
                        os.replace(part, self.path(digest))
                    self._checked.add(digest)
            finally:
                with suppress(OSError):
                    part.unlink()

    def _has(self, digest: str) -> bool:
        path = self.path(digest)
        if not path.is_file():
            return False
        if digest not in self._checked:
            if digest_of(path) != digest:
                path.unlink()
                return False
            self._checked.add(digest)
        os.utime(path)
        return True

    @contextmanager
    def _place_for(self, num_bytes: int) -> Iterator[None]:
        """In this context so many bytes are free for a file that arrives.

        Raises:
            BusyError: If the files are claimed.
            TooLargeError: If there is no place.
        """
        with self._lock:
            if self._is_claimed:
                raise BusyError("a job is running")
            if not self._makes_place_for(num_bytes):
                raise TooLargeError(
                    f"a file of {num_bytes:,} bytes finds no place in {self._most_bytes:,}"
                )
            self._num_arriving += 1
            self._arriving_bytes += num_bytes
        try:
            yield
        finally:
            with self._lock:
                self._num_arriving -= 1
                self._arriving_bytes -= num_bytes

    def _makes_place_for(self, num_bytes: int) -> bool:
        files = [f for f in self._folder.glob(f"*{ENDING}") if DIGEST.fullmatch(f.stem)]
        sizes = {file: file.stat() for file in files}
        taken = self._arriving_bytes + num_bytes + sum(found.st_size for found in sizes.values())
        for file in sorted(files, key=lambda file: sizes[file].st_mtime_ns):
            if taken <= self._most_bytes:
                break
            file.unlink()
            taken -= sizes[file].st_size
        return taken <= self._most_bytes


def _written(part: Path, num_bytes: int, read: Callable[[int], bytes]) -> str:
    """Writes what is read, and gives its digest."""
    seen = hashlib.sha256()
    left = num_bytes
    with _writing():
        opened = part.open("xb", buffering=0)
    with opened as file:
        while left:
            chunk = read(min(CHUNK, left))
            if not chunk:
                raise RefusedError(f"{left:,} of {num_bytes:,} bytes did not arrive")
            with _writing():
                written = file.write(chunk)
                while written < len(chunk):  # which raises where the disk is full
                    written += file.write(chunk[written:])
            seen.update(chunk)
            left -= len(chunk)
    return seen.hexdigest()


@contextmanager
def _writing() -> Iterator[None]:
    """Tells failures of this disk from those of the connection.

    Raises:
        UnwritableError: Instead of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise UnwritableError(error.strerror or str(error)) from error
