"""Search spaces as NNI writes them: JSON, by name of a choice what kind it is and what it offers.

    {
        "width": {"_type": "choice", "_value": [16, 32]},
        "depth": {"_type": "randint", "_value": [1, 5]}
    }

The layers, repetitions and values of `nni.nas` and `nni.mutable` come to the same, a dictionary of
labels and options; a bare list of options is taken for a choice. NNI is not needed.

- Of `choice` options are what is listed. Numbers stay numbers; if any option is something else, all
  are words, what is no text being its JSON: true is "true".
- A `choice` whose options are all spaces of their own, each with a `_name`, is one of the names.
  What is in a space is a choice `CHOICE.NAME.INNER`, active where the name is chosen.
- `randint` has the whole numbers from its first up to but not its second; `quniform` and
  `qloguniform` what numbers between their first two round to: multiples of the third, but nothing
  beyond the two.
- Other types have no finite number of options, and are refused.

Source: NNI 3.0, its documentation of search spaces, and which values its tuners propose
(`nni/common/hpo_utils/formatting.py`). Departure: how likely a tuner would draw an option (half a
step at the ends of `quniform`, logarithms of `qloguniform`) is not kept.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from search_spaces._choice import Choice, Option, OptionTable
from search_spaces._errors import UserError, did_you_mean
from search_spaces._space import SearchSpace

KIND, OFFERED, NAME = "_type", "_value", "_name"
MOST_OPTIONS = 10_000
"""Of a range; more would be a mistake, such as a `randint` for a seed."""


def to_nni(space: SearchSpace) -> dict[str, dict[str, Any]]:
    """A space as NNI's JSON document: one `choice` per choice.

    NNI's conditions are nested spaces, which cannot say that a choice matters for several options,
    or depends on two others. So every choice is always there. Where one is inactive, all that NNI
    may propose for it is the same network, which is what `SearchSpace.encode` makes of it.
    """
    return {choice.name: {KIND: "choice", OFFERED: [*choice.options]} for choice in space.choices}


def from_nni(file: Path) -> SearchSpace:
    """The space in a JSON file of NNI's, without a network, by the name of the file.

    Raises:
        UserError: If it cannot be read, or something in it has no finite number of options.
    """
    what = f"NNI's search space '{file}'"
    try:
        text = file.read_text(encoding="utf-8-sig")
        document = json.loads(text, object_pairs_hook=_distinct, parse_constant=_no_number)
        if not isinstance(document, dict) or not document.keys() - {NAME}:
            raise UserError(
                f"it is {document!r:.60}. It must be an object with a choice by every name, such "
                'as {"width": {"_type": "choice", "_value": [16, 32]}}.'
            )
        choices = tuple(_choices(document))
    except UserError as error:
        raise UserError(f"{what}: {error}") from error
    except FileNotFoundError as error:
        raise UserError(f"{what} is not there. Give the path of a JSON file.") from error
    except (OSError, ValueError, RecursionError, OverflowError) as error:  # JSON's are ValueErrors
        raise UserError(f"{what} cannot be read: {error}. It must be a JSON file.") from error
    for name, count in Counter(choice.name for choice in choices).items():
        if count > 1:
            raise UserError(f"{what} has two choices '{name}'. Rename one.")
    return SearchSpace(file.stem, choices)


def _distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UserError(f"{[name for name, _ in pairs]} has a name twice. Rename or remove one.")
    return found


def _no_number(text: str) -> float:
    raise UserError(f"it has {text}, which is no number. Remove it.")


def _choices(
    space: Mapping[str, Any], prefix: str = "", active_if: OptionTable = ()
) -> Iterator[Choice]:
    """What a space decides, nested spaces behind the choice that they belong to."""
    for name, entry in space.items():
        if name == NAME:
            continue
        kind, values = _parts(prefix + name, entry)
        if kind != "choice" or not _are_spaces(values):
            yield Choice(prefix + name, OPTIONS[kind](prefix + name, values), active_if)
            continue
        options = tuple(str(value[NAME]) for value in values)
        yield Choice(prefix + name, options, active_if)
        for option, inner in zip(options, values, strict=True):
            condition = ((prefix + name, (option,)),)
            yield from _choices(inner, f"{prefix}{name}.{option}.", condition)


def _parts(name: str, entry: Any) -> tuple[str, list[Any]]:
    """Type and values of an entry."""
    if isinstance(entry, list):
        entry = {KIND: "choice", OFFERED: entry}
    if not isinstance(entry, dict) or not isinstance(entry.get(OFFERED), list):
        raise UserError(
            f"'{name}' is {entry!r:.60}. It must be an object with '{KIND}' and a list "
            f"'{OFFERED}', or a list of options."
        )
    kind = entry.get(KIND)
    if not isinstance(kind, str) or kind not in OPTIONS:
        raise UserError(
            f"'{name}' has the type {kind!r:.40}, which is none with a finite number of options. "
            f"{did_you_mean(str(kind), OPTIONS)} List the values that it may have as a 'choice'."
        )
    return kind, entry[OFFERED]


def _are_spaces(values: Sequence[Any]) -> bool:
    return bool(values) and all(isinstance(value, dict) and NAME in value for value in values)


def _listed(name: str, values: Sequence[Any]) -> tuple[Option, ...]:
    if all(_is_number(value) for value in values):
        return tuple(values)
    return tuple(v if isinstance(v, str) else json.dumps(v, sort_keys=True) for v in values)


def _integers(name: str, values: Sequence[Any]) -> tuple[Option, ...]:
    low, high = _numbers(name, values, 2)
    return _counted(name, range(math.ceil(low), math.ceil(high)), int)


def _multiples(name: str, values: Sequence[Any]) -> tuple[Option, ...]:
    low, high, step = _numbers(name, values, 3)
    if step <= 0.0 or low >= high:
        raise UserError(
            f"'{name}' goes from {low:g} to {high:g} by {step:g}. The step must be positive, and "
            "the first number below the second."
        )

    def value(number: int) -> Option:
        found = min(max(number * step, low), high)
        return int(found) if found == int(found) else found

    numbers = range(math.floor(low / step + 0.5), math.ceil(high / step - 0.5) + 1)
    return _counted(name, numbers, value)


OPTIONS: Mapping[str, Callable[[str, Sequence[Any]], tuple[Option, ...]]] = {
    "choice": _listed,
    "randint": _integers,
    "quniform": _multiples,
    "qloguniform": _multiples,
}
"""By type: what is offered, from the choice's name and the values."""


def _counted(name: str, numbers: range, value: Callable[[int], Option]) -> tuple[Option, ...]:
    """The options of a range, if they are not too many."""
    count = numbers.stop - numbers.start  # which `len` may be too small for
    if count > MOST_OPTIONS:
        raise UserError(
            f"'{name}' has {count} options. At most {MOST_OPTIONS} can be read. Take larger "
            "steps, or list some values as a 'choice'."
        )
    return tuple(map(value, numbers))


def _numbers(name: str, values: Sequence[Any], count: int) -> Sequence[float]:
    if len(values) != count or not all(_is_number(value) for value in values):
        raise UserError(
            f"'{name}' has '{OFFERED}' {list(values)!r:.60}. It must be a list of {count} numbers."
        )
    return values


def _is_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
