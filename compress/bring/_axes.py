"""Which axes of which tensors stand and fall together, found while a network is read.

Every axis of every tensor is a product of *atoms*, the slowest first. A layer makes an atom for its
outputs; an addition says that two axes are the same; a reshape says of which factors an axis is
made. What is left of an atom in the end is a prunable group, unless something fixed its size.

Torch-Pruning's DepGraph (Fang et al., 2023) finds the same coupling by gradients' functions and
index maps; products of atoms also say what heads and channels of heads are, without being told.
"""

import math
from collections.abc import Sequence

from search_spaces.traced._axes import BATCH, Axis, Sum
from search_spaces.traced._axes import Atom as FinalAtom

BATCH_SIZE = 1009
"""A prime that stands for the images of a batch, so that reshapes of it can be followed."""


class Atom:
    """A factor of an axis.

    Attributes:
        size: Its members.
        is_fixed: Whether none of them may go.
        parts: Factors that it was found to be made of, the slowest first.
        addends: Axes behind each other that it was found to be made of.
    """

    def __init__(self, size: int, *, is_fixed: bool = False) -> None:
        self.size = size
        self.is_fixed = is_fixed
        self.parts: tuple[Atom, ...] = ()
        self.addends: tuple[Atoms, ...] = ()
        self._same: Atom | None = None

    @property
    def found(self) -> "Atom":
        """The atom that stands for all that are the same."""
        atom = self
        while atom._same is not None:
            atom = atom._same
        return atom

    @property
    def leaves(self) -> "Atoms":
        """The factors that it is known to be made of: itself, if none are."""
        atom = self.found
        return leaves(atom.parts) if atom.parts else (atom,)

    def be(self, other: "Atom") -> None:
        """From now on the same as another one, which knows as much or more."""
        assert self._same is None
        self._same = other


Atoms = tuple[Atom, ...]


def leaves(atoms: Sequence[Atom]) -> Atoms:
    """The factors of a product."""
    return tuple(leaf for atom in atoms for leaf in atom.leaves)


def size(atoms: Sequence[Atom]) -> int:
    """How long an axis is."""
    return math.prod(atom.size for atom in atoms)


def fresh(length: int, *, is_fixed: bool = False) -> Atoms:
    """A new axis; one of length 1 has no atoms."""
    return () if length == 1 else (Atom(length, is_fixed=is_fixed),)


def fix(atoms: Sequence[Atom]) -> None:
    """None of their members may go."""
    for atom in leaves(atoms):
        atom.is_fixed = True
        for addend in atom.addends:
            fix(addend)


def unify(a: Sequence[Atom], b: Sequence[Atom]) -> None:
    """Two axes of equal length have the same members, one by one."""
    left, right = list(leaves(a)), list(leaves(b))
    while left and right:
        x, y = left.pop(0), right.pop(0)
        if x is y:
            continue
        if x.size == y.size:
            _merge(x, y)
        elif _can_split(x) and x.size % y.size == 0:
            left[:0] = split(x, (y.size, x.size // y.size))
            right.insert(0, y)
        elif _can_split(y) and y.size % x.size == 0:
            right[:0] = split(y, (x.size, y.size // x.size))
            left.insert(0, x)
        else:
            fix((x, y, *left, *right))
            return


def split(atom: Atom, sizes: tuple[int, int]) -> Atoms:
    """Makes a leaf a product of two factors."""
    assert _can_split(atom), "a sum is no product"
    atom.parts = tuple(Atom(part, is_fixed=atom.is_fixed) for part in sizes)
    return leaves(atom.parts)


def regrouped(atoms: Sequence[Atom], lengths: Sequence[int]) -> list[Atoms]:
    """The axes that a reshape to these lengths makes of a product.

    What cannot be followed is fixed.
    """
    waiting, axes = list(leaves(atoms)), []
    for wanted in lengths:
        axis: list[Atom] = []
        while wanted > 1 and waiting:
            atom = waiting.pop(0)
            if wanted % atom.size == 0:
                axis.append(atom)
                wanted //= atom.size
            elif atom.size % wanted == 0 and _can_split(atom):
                first, *rest = split(atom, (wanted, atom.size // wanted))
                axis.append(first)
                waiting[:0] = rest
                wanted = 1
            else:
                break
        if wanted > 1:
            fix(atoms)
            return [fresh(length, is_fixed=True) for length in lengths]
        axes.append(tuple(axis))
    return axes


def behind_each_other(axes: Sequence[Atoms]) -> Atoms:
    """The axis of a concatenation."""
    atom = Atom(sum(map(size, axes)))
    atom.addends = tuple(axes)
    return (atom,)


def is_batch(atoms: Sequence[Atom]) -> bool:
    """Whether an axis has the images of a batch."""
    return any(atom.size == BATCH_SIZE for atom in leaves(atoms))


def is_free(atom: Atom) -> bool:
    """Whether members of a leaf that is no sum may go."""
    return not atom.is_fixed and not atom.addends and atom.size > 1


def final(atoms: Sequence[Atom], names: dict[Atom, str]) -> Axis:
    """The axis as it is stored.

    Args:
        atoms: Of which it is made.
        names: Of prunable groups; all other atoms have fixed sizes.
    """
    found: list[FinalAtom] = []
    for atom in leaves(atoms):
        if atom.size == BATCH_SIZE:
            found.append(BATCH)
        elif atom in names:
            found.append(names[atom])
        elif atom.addends:
            found.append(Sum(tuple(final(addend, names) for addend in atom.addends)))
        else:
            found.append(atom.size)
    return tuple(found)


def groups_in(atoms: Sequence[Atom]) -> list[Atom]:
    """The leaves that may be groups, those of sums among them."""
    found: list[Atom] = []
    for atom in leaves(atoms):
        if atom.addends:
            found += [leaf for addend in atom.addends for leaf in groups_in(addend)]
        elif is_free(atom):
            found.append(atom)
    return found


def _can_split(atom: Atom) -> bool:
    return not atom.addends and atom.size != BATCH_SIZE


def _merge(x: Atom, y: Atom) -> None:
    """Two leaves of one size are the same."""
    if x.addends and y.addends:
        if [size(axis) for axis in x.addends] == [size(axis) for axis in y.addends]:
            for one, another in zip(x.addends, y.addends, strict=True):
                unify(one, another)
        else:
            fix((x, y))
    if x.is_fixed or y.is_fixed:
        fix((x, y))
    known, other = (y, x) if y.addends else (x, y)
    other.be(known)
