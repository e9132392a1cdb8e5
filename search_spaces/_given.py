"""Options behind a name, as users write them: "NAME:OPTION=VALUE,OPTION=VALUE"."""

from collections.abc import Mapping
from typing import Any

from search_spaces._errors import UserError

WORDS: Mapping[type, str] = {
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    str: "a word",
}
"""What an option of each type is called in messages."""

TRUTH = {"true": True, "false": False}


def given_options(text: str, where: str, kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The values of options, by name.

    Args:
        text: What stands behind the colon: options with commas between them.
        where: What has the options, for messages, such as "augmentation 'cutmix'".
        kinds: Types of all options by name, which are among `WORDS`.

    Raises:
        UserError: If one is unknown, given twice or of another type.
    """
    found: dict[str, Any] = {}
    for given in text.split(","):
        option, _, value = given.partition("=")
        if option not in kinds:
            known = f"Options: {', '.join(kinds)}." if kinds else "It has none."
            raise UserError(f"{where} has no option '{option}'. {known}")
        if option in found:
            raise UserError(f"{where}: option '{option}' is given twice.")
        kind = kinds[option]
        try:
            found[option] = TRUTH[value] if kind is bool else kind(value)
        except (ValueError, KeyError) as error:
            raise UserError(
                f"option '{option}' of {where} is '{value}'. It must be {WORDS.get(kind, kind)}."
            ) from error
    return found
