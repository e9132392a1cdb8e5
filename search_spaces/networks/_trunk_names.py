"""Which stems, downsamplings and heads a network may offer."""

from search_spaces._errors import UserError
from search_spaces.trunk._base import TRUNK


def check_trunk(place: str, names: tuple[str, ...]) -> None:
    """Refuse names that cannot stand in this place.

    Raises:
        UserError: Naming the first one.
    """
    for name in names:
        found = TRUNK.get(name)
        if found.place != place:
            raise UserError(
                f"a network offers '{name}' as {place}, which is a {found.place}. Offer a {place}."
            )
        known = {*found.defaults, *(["stride"] if place == "stem" else [])}
        if unknown := [dim for dim in found.dims if dim not in known]:
            raise UserError(
                f"{place} '{name}' reads {', '.join(unknown)}, which nothing decides. A stem may "
                "read stride; all else needs a default."
            )
    if not names:
        raise UserError(f"a network offers no {place}. Offer one or more.")
