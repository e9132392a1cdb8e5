"""Names come back as they were added, in little memory."""

import os
import tracemalloc

from nas.data._names import Names


def test_names_of_any_bytes_come_back_in_their_order() -> None:
    names = Names()
    added = ["b/ä.png", "", "a.png", os.fsdecode(b"\xff.png"), "b/ä.png"]
    for name in added:
        names.append(name)
    assert list(names) == list(names) == added
    assert len(names) == 5


def test_many_names_take_little_more_than_their_bytes() -> None:
    tracemalloc.start()
    names = Names()
    for number in range(20_000):
        names.append(f"n01440764/n01440764_{number:05d}.JPEG")
    taken = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert taken < 20_000 * (30 + 8) * 1.5
