"""Machines that measured: whether their numbers can be compared."""

from collections.abc import Iterable, Mapping
from typing import Any

KIND = ("cpu", "instruction_set", "python", "versions")


def unlike(what: str, hosts: Iterable[Mapping[str, Any]]) -> str:
    """What to say of measurements of these machines: which are unlike, "" if none is.

    Args:
        what: Was measured.
        hosts: As `nas.system.environment.this_host` has them; what is unknown is left out.
    """
    names: dict[str, set[str]] = {}
    for host in hosts:
        kind = {name: host[name] for name in KIND if name in host}
        if kind:
            names.setdefault(_text(kind), set()).add(str(host.get("name", "unknown")))
    if len(names) < 2:
        return ""
    groups = "; ".join(f"{', '.join(sorted(of))}: {kind}" for kind, of in sorted(names.items()))
    return f"{what} come from unlike hosts and do not quite compare: {groups}"


def host_of_timing(latency: Mapping[str, Any]) -> dict[str, Any]:
    """Where a file was timed, by its card."""
    return {
        "name": latency.get("host") or "unknown",
        "cpu": latency["cpu"],
        "instruction_set": latency["instruction_set"],
        "versions": {latency["runtime"]: latency["version"]},
    }


def _text(kind: Mapping[str, Any]) -> str:
    known = kind.get("versions")
    versions = known if isinstance(known, Mapping) else {}  # an unsealed record may say anything
    parts = [str(kind.get("cpu", "")), str(kind.get("instruction_set", ""))]
    parts += [f"python {kind['python']}"] if "python" in kind else []
    parts += [f"{package} {version}" for package, version in sorted(versions.items()) if version]
    return " ".join(parts)
