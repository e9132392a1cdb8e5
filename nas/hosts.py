"""Machines that measured: whether their numbers can be compared."""

from collections.abc import Iterable, Mapping
from typing import Any

KIND = ("cpu", "instruction_set", "python", "versions")


def unlike(hosts: Iterable[Mapping[str, Any]]) -> str:
    """What to say of scores of these machines: which are unlike, "" if none is.

    Args:
        hosts: As `nas.environment.this_host` has them; what is unknown is left out.
    """
    names: dict[str, set[str]] = {}
    for host in hosts:
        kind = {name: host[name] for name in KIND if name in host}
        if kind:
            names.setdefault(_text(kind), set()).add(str(host.get("name", "unknown")))
    if len(names) < 2:
        return ""
    groups = "; ".join(f"{', '.join(sorted(of))}: {kind}" for kind, of in sorted(names.items()))
    return f"scores come from unlike hosts, and their last digits can differ: {groups}"


def _text(kind: Mapping[str, Any]) -> str:
    versions = kind.get("versions", {})
    parts = [str(kind.get("cpu", "")), str(kind.get("instruction_set", ""))]
    parts += [f"python {kind.get('python', '')}"]
    parts += [f"{package} {version}" for package, version in sorted(versions.items()) if version]
    return " ".join(parts)
