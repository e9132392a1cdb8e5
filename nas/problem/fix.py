"""Choices of which only some options are left: `--fix 'stage*.sparsity=0'`.

A text is a pattern, an equals sign and options with commas between them. Of the choices whose names
the pattern matches, as files are matched, only these options are left. Several texts hold together.
"""

import re
from collections.abc import Sequence
from fnmatch import fnmatchcase

from search_spaces import Choice, Option, SearchSpace, UserError, did_you_mean

EXAMPLE = "--fix 'stage*.sparsity=0'"
PRECISION, SPARSITY = "precision", "sparsity"


def parse_fix(text: str) -> tuple[str, tuple[str, ...]]:
    """The pattern of names, and the options that are left.

    Raises:
        UserError: If one of both is missing.
    """
    pattern, _, options = (part.strip() for part in text.partition("="))
    words = tuple(word.strip() for word in options.split(","))
    if not pattern or not all(words):
        raise UserError(
            f"fix {text!r} is not a name, an equals sign and options. Write the choices and what "
            f"is left of them, such as {EXAMPLE} or --fix 'stage1.width=16,24'."
        )
    return pattern, words


def fixed(space: SearchSpace, texts: Sequence[str]) -> SearchSpace:
    """The part of a space that is left.

    Raises:
        UserError: If a text names no choice, or what a choice does not offer.
    """
    left = {choice.name: choice.options for choice in space.choices}
    for text in texts:
        pattern, words = parse_fix(text)
        found = [choice for choice in space.choices if fnmatchcase(choice.name, pattern)]
        if not found:
            kinds = {re.sub(r"\d+", "*", choice.name) for choice in space.choices}
            raise UserError(
                f"fix {text!r}: no choice of space '{space.name}' is called '{pattern}'. "
                f"{did_you_mean(pattern, kinds)}"
            )
        for word in words:
            if not any(_is(option, word) for choice in found for option in choice.options):
                raise UserError(
                    f"fix {text!r}: '{pattern}' does not offer '{word}'. "
                    f"{did_you_mean(word, _offered(found), is_ordered=True)}"
                )
        for choice in found:
            left[choice.name] = _left(choice, left[choice.name], words, text)
    return space.restricted(left)


def refuse_pruned_only(space: SearchSpace) -> None:
    """See that a space which is to be trained has networks that are not pruned.

    Raises:
        UserError: If some stage must be.
    """
    for column in space.columns(SPARSITY):
        choice = space.choices[column]
        if 0 not in choice.options:
            raise UserError(
                f"fix leaves '{choice.name}' {_listed(choice.options)}, and training needs "
                "networks that are not pruned. Allow 0, too, or search a trained one: "
                "--supernet RUN."
            )


def refuse_without_brought(space: SearchSpace, whole: SearchSpace) -> None:
    """See that the network that was brought is left: it is trained with and compared with.

    Args:
        space: What is left.
        whole: Before; the first options of its choices are the network. In which formats it is, it
            need not be.

    Raises:
        UserError: If some part of it is not.
    """
    left = {choice.name: choice for choice in space.choices}
    for choice in whole.choices:
        own = choice.options[0]
        if choice.name in left and choice.name.rpartition(".")[2] != PRECISION:
            options = left[choice.name].options
            if own not in options:
                raise UserError(
                    f"fix leaves '{choice.name}' {_listed(options)}, and the model has {own} there,"
                    " which it is compared with. Allow that, too."
                )


def _left(
    choice: Choice, options: Sequence[Option], words: Sequence[str], text: str
) -> tuple[Option, ...]:
    left = tuple(option for option in options if any(_is(option, word) for word in words))
    if not left:
        raise UserError(
            f"fix {text!r}: it leaves no option of '{choice.name}', which has {_listed(options)}. "
            "Name one of these, too, or a pattern that does not match this choice."
        )
    return left


def _offered(choices: Sequence[Choice]) -> list[str]:
    """All options of these: numbers sorted, words in the order of the choices."""
    options = dict.fromkeys(option for choice in choices for option in choice.options)
    numbers = sorted(option for option in options if not isinstance(option, str))
    return [*map(str, numbers), *(option for option in options if isinstance(option, str))]


def _listed(options: Sequence[Option]) -> str:
    return ", ".join(map(str, options))


def _is(option: Option, word: str) -> bool:
    """Whether a word is an option; 0 and 0.0 are the same number."""
    if isinstance(option, str):
        return option == word
    try:
        return float(word) == option
    except ValueError:
        return False
