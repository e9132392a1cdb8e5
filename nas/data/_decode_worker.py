"""A process that decodes images for another one, on one thread: `nas.data._decoders` starts it.

It is told on its input, as lines of JSON, where the entries are and what becomes of images, and
then, request by request, how many images are wanted (int64) and which (so many int64). It answers
each image in turn on its output: a byte 0 and its pixels, or a byte 1, the length (int64) and the
text of what is wrong with it. It ends when its input does, as it does when whoever started it ends.
"""

import json
import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from nas.data._decode import decode, quietly
from nas.data._entries import Entries
from nas.data._ranges import read_ranges
from search_spaces import UserError

SOUND, DAMAGED = b"\0", b"\1"
INT64_BYTES = 8


def main() -> None:
    """Answer until the input ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started this ends it
    asked, answers = sys.stdin.buffer, sys.stdout.buffer
    job: dict[str, Any] = json.loads(asked.readline())
    entries = Entries(Path(job["folder"]), job["source"], are_paths=job["are_paths"])
    read = partial(
        decode,
        is_grey=job["is_grey"],
        resolution=job["resolution"],
        ranges=read_ranges(job["ranges"]),
    )
    with quietly():
        while count := asked.read(INT64_BYTES):
            images_B = asked.read(INT64_BYTES * int(np.frombuffer(count, np.int64)[0]))
            for where, content in entries.at(np.frombuffer(images_B, np.int64)):
                try:
                    pixels = read(content, where)
                except UserError as error:
                    _complain(answers, str(error))
                else:
                    answers.write(SOUND)
                    answers.write(np.ascontiguousarray(pixels).data)
            answers.flush()


def _complain(answers: IO[bytes], text: str) -> None:
    content = text.encode(errors="replace")
    answers.write(DAMAGED + np.int64(len(content)).tobytes() + content)


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        os._exit(0)  # nobody listens any more; an ordinary end would complain about that
