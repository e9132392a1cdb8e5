"""From labels as files have them, numbers or words, to class indices.

Shape suffixes: N images.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from nas.data._base import Int64Array
from nas.data._files import TRAIN
from nas.data._source import Index
from search_spaces import UserError

Labels = npt.NDArray[Any]
Found = Mapping[str, Sequence[tuple[str, Labels]]]
"""By published split: each file's name, and its labels (N,) in the order of its images."""


def index_of(found: Found, names: Sequence[str] | None, note: str = "") -> Index:
    """Classes and labels.

    Args:
        found: The labels; train is among the splits.
        names: What the class indices mean; None to take the words in train, sorted, or the numbers
            from 0.
        note: For the index.

    Raises:
        UserError: If labels are neither whole numbers nor words, or both, or beyond the classes.
    """
    every = [pair for pairs in found.values() for pair in pairs]
    for where, labels_N in every:
        check_labels(labels_N, f"data file '{where}'")
    if names is None:
        _check_kinds(every)
        names = _names_in(found[TRAIN])
    return Index(
        classes=tuple(names),
        labels={
            split: np.concatenate([_indices(labels_N, names, where) for where, labels_N in pairs])
            for split, pairs in found.items()
        },
        note=note,
    )


def one_per_image(labels: Labels) -> Labels:
    """Labels (N,), of (N,) or (N, 1); those of another shape as they are."""
    return labels[:, 0] if labels.ndim == 2 and labels.shape[1] == 1 else labels


def check_labels(labels_N: Labels, where: str) -> None:
    """Refuse what are no labels.

    Args:
        labels_N: The array.
        where: It lies, for messages.

    Raises:
        UserError: Saying what labels are.
    """
    if labels_N.dtype.kind == "b":
        raise UserError(
            f"{where}: the labels are true or false. They must be whole numbers or words. Write 0 "
            "and 1."
        )
    if labels_N.dtype.kind not in "iuU" or labels_N.ndim != 1:
        raise UserError(
            f"{where}: the labels are {labels_N.dtype} of shape {labels_N.shape}. "
            "They must be one whole number per image, from 0, or one word."
        )


def _check_kinds(every: Sequence[tuple[str, Labels]]) -> None:
    """Refuse words in one place and numbers in another: nobody could say which are the same."""
    examples = {
        labels_N.dtype.kind == "U": (w, labels_N[0]) for w, labels_N in every if len(labels_N)
    }
    if len(examples) == 2:
        (file, word), (other, number) = examples[True], examples[False]
        raise UserError(
            f"data file '{file}' has words as labels, such as '{word}', and '{other}' has numbers, "
            f"such as {number}. Write all labels in one way."
        )


def _names_in(train: Sequence[tuple[str, Labels]]) -> Sequence[str]:
    filled = [(where, labels_N) for where, labels_N in train if len(labels_N)]
    if any(labels_N.dtype.kind == "U" for _, labels_N in filled):
        return sorted({str(word) for _, labels_N in filled for word in np.unique(labels_N)})
    lowest = min((int(labels_N.min()) for _, labels_N in filled), default=0)
    highest = max((int(labels_N.max()) for _, labels_N in filled), default=0)
    if lowest > 0:
        raise UserError(
            f"data file '{filled[0][0]}': the labels of train go from {lowest} to {highest}. "
            f"Number the classes from 0: subtract {lowest} from every label, or write words."
        )
    # NOTE: more classes than images cannot be right, and might be more than fit into memory.
    most = sum(len(labels_N) for _, labels_N in filled)
    return [str(i) for i in range(min(highest + 1, most))]


def _indices(labels_N: Labels, names: Sequence[str], where: str) -> Int64Array:
    if labels_N.dtype.kind == "U":
        number = {name: i for i, name in enumerate(names)}
        foreign = sorted(set(np.unique(labels_N).tolist()) - number.keys())
        if foreign:
            raise UserError(
                f"data file '{where}': '{foreign[0]}' is none of the {len(names)} classes of "
                f"train. Known: {', '.join(list(names)[:5])}{', ...' if len(names) > 5 else ''}."
            )
        return np.array([number[word] for word in labels_N.tolist()], np.int64)
    (wrong,) = np.nonzero((labels_N < 0) | (labels_N >= len(names)))
    if len(wrong):
        raise UserError(
            f"data file '{where}': label {labels_N[wrong[0]]} of image {wrong[0]} is outside 0 to "
            f"{len(names) - 1}, as {len(wrong)} are. Number the {len(names)} classes from 0, and "
            "leave out images without a label."
        )
    return labels_N.astype(np.int64)
