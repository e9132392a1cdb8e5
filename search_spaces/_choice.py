"""One decision, and the readable face of several decisions taken."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from search_spaces._errors import UserError
from search_spaces._sides import Sides, read_sides

Option = int | float | str
OptionTable = tuple[tuple[str, tuple[Option, ...]], ...]
"""Named lists of options, in order; hashable."""


def integer(option: Option) -> int:
    """An option that is a whole number."""
    assert isinstance(option, int)
    return option


@dataclass(frozen=True)
class Choice:
    """One decision with a finite number of options.

    Attributes:
        name: Dotted, such as "stage2.block1.operator".
        options: What may be chosen; position is the option's index in encodings.
        active_if: The choice matters only where every named choice has one of the given options.
    """

    name: str
    options: tuple[Option, ...]
    active_if: tuple[tuple[str, tuple[Option, ...]], ...] = ()

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise UserError(
                f"choice '{self.name}' offers {list(self.options)}. "
                "Options must be distinct and at least one. Remove the repeated ones."
            )


class Options(Mapping[str, Option]):
    """A frozen, hashable, picklable mapping of names to chosen options, in a fixed order."""

    __slots__ = ("_items", "_lookup")

    def __init__(self, items: Mapping[str, Option] | tuple[tuple[str, Option], ...] = ()) -> None:
        pairs = items.items() if isinstance(items, Mapping) else items
        self._items = tuple(pairs)
        self._lookup = dict(self._items)

    def __getitem__(self, name: str) -> Option:
        return self._lookup[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lookup)

    def __len__(self) -> int:
        return len(self._lookup)

    def __hash__(self) -> int:
        return hash(self._items)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and self._items == other._items

    def __repr__(self) -> str:
        return f"Options({self._lookup!r})"

    def __reduce__(self) -> tuple[type, tuple[tuple[tuple[str, Option], ...]]]:
        return (Options, (self._items,))

    def number(self, name: str) -> int:
        """The option called `name`, which is an integer by its declaration."""
        value = self._lookup[name]
        assert isinstance(value, int), f"{name} is {value!r}, not an integer"
        return value

    def text(self, name: str) -> str:
        """The option called `name`, which is a word by its declaration."""
        value = self._lookup[name]
        assert isinstance(value, str), f"{name} is {value!r}, not a word"
        return value

    def sides(self, name: str) -> Sides:
        """The option called `name`, which is a height and a width by its declaration."""
        return read_sides(self._lookup[name])

    def to_json(self) -> str:
        """The mapping as one canonical line of JSON: the text that keys are hashes of."""
        return json.dumps(self._lookup, sort_keys=True, separators=(",", ":"))
