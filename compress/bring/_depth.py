"""Blocks that may go: what is a residual of the tensor that it reads.

Equal blocks in a row are a stage, of which the last may be left out, as in the elastic depth of
Cai et al., Once-for-All (2020), section 3.2. A block may be several fragments that take turns, such
as an attention and what follows it.
"""

from collections.abc import Iterator, Sequence

from compress.bring._names import shared_path, unique
from search_spaces.networks.traced import Part, Stage
from search_spaces.traced._axes import Axis, renamed
from search_spaces.traced._fragment import IMAGES, LAYERS, Fragment

MOST_DEPTHS = 4

ADD = "add"


def stages_of(parts: Sequence[Part]) -> tuple[Stage, ...]:
    """The stages of a network whose parts are these."""
    found: list[Stage] = []
    for run in _runs(parts):
        for blocks in _equal_blocks(run):
            names = tuple(tuple(part.name for part in block) for block in blocks)
            path = shared_path([name for block in names for name in block])
            name = unique(path, {stage.name for stage in found})
            found.append(Stage(name, names, _depths(len(blocks))))
    return tuple(found)


def _runs(parts: Sequence[Part]) -> Iterator[list[Part]]:
    """Residuals of one stream that follow each other."""
    run: list[Part] = []
    for part in parts:
        is_next = is_residual(Fragment.of_text(part.fragment))
        if run and not (is_next and _stream(part) == _stream(run[-1])):
            yield run
            run = []
        if is_next:
            run.append(part)
    if run:
        yield run


def is_residual(fragment: Fragment) -> bool:
    """Whether a fragment adds something to what it reads, and changes nothing else of it."""
    if fragment.axes != fragment.output.axes:
        return False
    by_name = {node.name: node for node in fragment.nodes}
    waiting = [(fragment.output.name, False)]
    while waiting:
        name, is_sum = waiting.pop()
        if name == IMAGES and is_sum:
            return True
        node = by_name.get(name)
        if node is not None and node.op not in LAYERS:
            waiting += [(each, is_sum or node.op == ADD) for each in node.inputs]
    return False


def _stream(part: Part) -> tuple[Axis, ...]:
    """What of the network a part reads: its axes, with the network's names of groups."""
    fragment = Fragment.of_text(part.fragment)
    called = dict(zip(fragment.groups, part.groups, strict=True))
    return tuple(renamed(axis, called) for axis in fragment.axes)


def _equal_blocks(run: Sequence[Part]) -> Iterator[list[Sequence[Part]]]:
    """The run in stretches of equal blocks; a part that none follows is a block by itself."""
    start = 0
    while start < len(run):
        texts = [part.fragment for part in run[start:]]
        period, number = _repeated(texts)
        stretch = run[start : start + period * number]
        yield [stretch[i : i + period] for i in range(0, len(stretch), period)]
        start += len(stretch)


def _repeated(texts: Sequence[str]) -> tuple[int, int]:
    """The fewest parts that are there again right behind, and how often in a row; else 1 and 1."""
    for period in range(1, len(texts) // 2 + 1):
        number = 1
        while texts[number * period : (number + 1) * period] == texts[:period]:
            number += 1
        if number > 1:
            return period, number
    return 1, 1


def _depths(blocks: int) -> tuple[int, ...]:
    """From all blocks to half of them."""
    least = blocks // 2
    steps = min(MOST_DEPTHS - 1, blocks - least)
    return tuple(blocks - round(i * (blocks - least) / steps) for i in range(steps + 1))
