"""What a comparison was begun with: the same command continues it, and another one is refused."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nas.run.config import differences
from nas.system.files import read_json, understood, write_json
from search_spaces import UserError

MOST_NAMED = 6


def keep_asked(
    file: Path,
    asked: Mapping[str, Any],
    *,
    what: str,
    names: str,
    about: Callable[[], Mapping[str, Any]],
) -> None:
    """Record what was asked, or see that it is what was recorded.

    Args:
        file: Of the record, in the comparison's folder.
        asked: JSON values by name.
        what: The comparison is called in messages.
        names: Of those in `asked` the list of who takes part.
        about: What else is recorded, the first time.

    Raises:
        UserError: If it is another comparison, or the folder has files that are none.
    """
    if not file.exists():
        if any(path for path in file.parent.iterdir() if not path.name.startswith(".")):
            raise UserError(
                f"folder '{file.parent}' is not empty and has no {file.name}: no {what}. Name "
                "another folder with --out."
            )
        write_json(file, {"asked": asked, **about()})
    before, now = dict(recorded(file, "asked")), dict(asked)
    if changed := [*_changed_names(before, now, names), *differences(before, now)]:
        raise UserError(
            f"{what} '{file.parent}' was begun with other settings: {'; '.join(changed)}. "
            "Give those, or another folder with --out."
        )


def recorded(file: Path, name: str) -> Any:
    """What a document of ours says under a name.

    Raises:
        UserError: If it is damaged.
    """
    with understood(f"'{file}'"):
        return read_json(file)[name]


def _changed_names(before: dict[str, Any], asked: dict[str, Any], names: str) -> list[str]:
    """Who takes part that did not, and the other way; both lists are taken out."""
    old, new = before.pop(names), asked.pop(names)
    more = [f"+{name}" for name in new if name not in old]
    fewer = [f"-{name}" for name in old if name not in new]
    if not more and not fewer:
        return [f"{names} in another order"] if old != new else []
    named = [*more, *fewer]
    rest = f" and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return [f"{names} {', '.join(named[:MOST_NAMED])}{rest}"]
