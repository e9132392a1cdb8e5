"""What a sweep is asked to do: a TOML file of settings with several values, made into searches.

    space = ["mobile", "vit"]                   # each in turn
    budget = ["20MFLOPs", "10MFLOPs, 0.5ms"]    # two settings, the second of two limits
    seed = [0, 1]
    time = "3m"                                 # of every search, after its supernet

    [set]
    learning_rate = {loguniform = [1e-3, 1e-2]} # Ray Tune's distributions, by name

    [sweep]
    supernet_time = "10m"

Names are those of the flags of `nas search`. Every combination of the listed values is a search; of
every distribution one value is drawn per combination, `samples` times. `plugins` is a list of files
for all searches.
"""

import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from nas.data._load import absolute_if_path
from nas.executors._cluster import imported
from nas.prepare.inputs import check_names
from nas.problem.budget import AT, LATENCY, Budget, parse_budget
from nas.run.config import Config, make_config
from nas.run.config_file import checked_setting, read_toml
from nas.sweep.plan import Search, Sweep, SweepOptions
from nas.system.text import fractions, words
from nas.system.typed import TYPE_NAMES, is_a
from search_spaces import UserError, did_you_mean, is_space_file, load_plugins
from supernets.methods._base import METHODS
from supernets.plan import TrainPlan

DISTRIBUTIONS = (
    *("choice", "uniform", "quniform", "loguniform", "qloguniform"),
    *("randint", "qrandint", "lograndint", "randn"),
)
"""Of `ray.tune`, with the same arguments."""

SEVERAL = ("budget", "precision", "sparsity", "pattern", "rank")
"""Settings whose every value is a list; written as text with commas."""

NOT_HERE = {
    "ray_address": "give --ray-address to `nas sweep`",
    "supernet": "a sweep trains its own",
    "devices": "a sweep gives every search a node of its own",
}
OF_SUPERNET = (
    *("space", "plugins", "data", "task", "data_dir", "cache", "resolution"),
    *("skip_corrupt", "held_gb", "method", "threads", "device"),
)
"""Settings that searches of one supernet have in common."""


def read_sweep(path: Path) -> Sweep:
    """The searches of a sweep file, every mistake in it refused.

    Raises:
        UserError: Naming what is wrong.
    """
    where = f"sweep '{path}'"
    document = read_toml(path, where)
    options = _options(document.pop("sweep", {}), where)
    values = _values(document, where)
    varying = tuple(name for name, found in values.items() if not _is_fixed(found))
    number = _num_combinations(values, options)
    if number > options.max_searches:
        raise UserError(
            f"{where} comes to {number} searches, and at most {options.max_searches} are "
            "allowed. List fewer values, or raise max_searches in [sweep]."
        )
    settings = list(_combinations(values, options, where))
    data_seed = min(int(one.get("seed", 0)) for one in settings)
    settings = [{**one, "data_seed": _own(one.get("data_seed"), data_seed)} for one in settings]
    for one in settings:
        if one.get("executor") == "ray":
            raise UserError(
                f"{where}: executor 'ray' has no place here: a sweep gives every search a node of "
                "its own. Use inline or processes."
            )
        check_names(make_config(one))
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for one in settings:
        groups.setdefault(_common(one), []).append(one)
    names = dict(
        zip(groups, _unique([_slug([g[0]["space"]]) for g in groups.values()]), strict=True)
    )
    searches = [
        Search(name=name, settings=one, supernet=names[_common(one)])
        for name, one in zip(_names(settings, varying), settings, strict=True)
    ]
    return Sweep(
        options=options,
        varying=varying,
        searches=tuple(searches),
        supernets={names[key]: _supernet(group, options) for key, group in groups.items()},
    )


def _options(table: Any, where: str) -> SweepOptions:
    known = {field.name: field for field in fields(SweepOptions)}
    if not isinstance(table, Mapping):
        raise UserError(f"{where}: sweep is {table!r}. It must be a table, [sweep].")
    for name, value in table.items():
        if name not in known:
            raise UserError(f"{where}: unknown '{name}' in [sweep]. {did_you_mean(name, known)}")
        kind: Any = known[name].type
        if not is_a(value, kind):
            raise UserError(f"{where}: {name} is {value!r}. It must be {TYPE_NAMES[kind]}.")
    return SweepOptions(**table)


def _values(document: Mapping[str, Any], where: str) -> dict[str, Any]:
    """What every setting may be: a list of values, or a distribution; "set.NAME" for `--set`."""
    found: dict[str, Any] = {"space": [Config.space]}
    if "plugins" in document:  # first: names of data sets may be theirs
        plugins = checked_setting("plugins", document["plugins"], where)
        found["plugins"] = [[str(Path(file).absolute()) for file in plugins]]
        load_plugins(plugins)
    for name, value in document.items():
        if name in NOT_HERE:
            raise UserError(f"{where}: '{name}' has no place here: {NOT_HERE[name]}.")
        if name == "plugins":
            continue
        if name == "set" and isinstance(value, Mapping):
            for inner, given in value.items():
                own = given if isinstance(given, list) else [given]
                found[f"set.{inner}"] = _distribution(inner, given, where) or own
            continue
        found[name] = _distribution(name, value, where) or _listed(name, value, where)
        if not found[name]:
            raise UserError(f"{where}: {name} is an empty list. Give a value, or leave it out.")
    return found


def _listed(name: str, value: Any, where: str) -> list[Any]:
    """Each value of a setting, checked."""
    values = value if isinstance(value, list) else [value]
    if name in SEVERAL:
        values = [_parts(name, one) for one in values]
    return [_absolute(name, checked_setting(name, one, where)) for one in values]


def _absolute(name: str, value: Any) -> Any:
    """A path as every node of a cluster understands it."""
    if name == "data":
        return absolute_if_path(value)
    is_path = name in ("data_dir", "cache") or (name == "space" and is_space_file(value))
    return str(Path(value).resolve()) if is_path and value else value


def _own(value: int | None, default: int) -> int:
    """A seed that was given, or the default."""
    return default if value is None or value < 0 else value


def _parts(name: str, value: Any) -> Any:
    """The list that "a, b" stands for."""
    if not isinstance(value, str):
        return value
    return list((fractions if name == "sparsity" else words)(value) or ())


def _distribution(name: str, value: Any, where: str) -> Any:
    """The distribution of Ray Tune in a table such as {loguniform = [1e-4, 1e-2]}; None if none."""
    if not isinstance(value, Mapping):
        return None
    kind, arguments = next(iter(value.items()), ("", None))
    if len(value) != 1 or kind not in DISTRIBUTIONS or not isinstance(arguments, list):
        raise UserError(
            f"{where}: {name} is {dict(value)!r}. A distribution is a table with one entry, such "
            f"as {{loguniform = [1e-4, 1e-2]}}. Known: {', '.join(DISTRIBUTIONS)}."
        )
    imported()
    from ray import tune

    values = [arguments] if kind == "choice" else arguments
    try:
        return getattr(tune, kind)(*values)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{where}: {name} is {dict(value)!r}, which Tune refuses: {error}."
        ) from error


def _is_fixed(values: Any) -> bool:
    return isinstance(values, list) and len(values) == 1


def _num_combinations(values: Mapping[str, Any], options: SweepOptions) -> int:
    listed = [found for found in values.values() if isinstance(found, list)]
    return math.prod(map(len, listed)) * (options.samples if len(listed) < len(values) else 1)


def _combinations(
    values: Mapping[str, Any], options: SweepOptions, where: str
) -> Iterator[dict[str, Any]]:
    """The settings of every search."""
    listed = {name: found for name, found in values.items() if isinstance(found, list)}
    drawn = {name: found for name, found in values.items() if name not in listed}
    rng = np.random.RandomState(options.sample_seed)  # what Tune takes
    for combination in itertools.product(*listed.values()):
        for _ in range(options.samples if drawn else 1):
            one = dict(zip(listed, combination, strict=True))
            one |= {name: _drawn(name, found, rng, where) for name, found in drawn.items()}
            nested = {n.partition(".")[2]: v for n, v in one.items() if n.startswith("set.")}
            flat = {n: v for n, v in one.items() if not n.startswith("set.")}
            yield {**flat, "set": nested} if nested else flat


def _drawn(name: str, distribution: Any, rng: np.random.RandomState, where: str) -> Any:
    """A value of a setting, checked like one that was written."""
    try:
        value = distribution.sample(random_state=rng)
    except (TypeError, ValueError) as error:
        raise UserError(f"{where}: nothing can be drawn for {name}: {error}.") from error
    value = value.item() if isinstance(value, np.generic) else value
    return value if name.startswith("set.") else _listed(name, [value], where)[0]


def _common(settings: Mapping[str, Any]) -> str:
    """The same text for searches that can use the same supernet."""
    own = {name: settings[name] for name in OF_SUPERNET if name in settings}
    return json.dumps([own, settings["data_seed"], _training(settings)], sort_keys=True)


def _training(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Of `--set`, what is about training, and which sizes of networks are trained."""
    method = METHODS.get(str(settings.get("method", Config.method)))
    known = {"max_macs", *(field.name for owner in (TrainPlan, method) for field in fields(owner))}
    return {name: v for name, v in settings.get("set", {}).items() if name in known}


def _supernet(group: Sequence[Mapping[str, Any]], options: SweepOptions) -> dict[str, Any]:
    """Settings of the supernet that all these searches can use.

    Its budgets are the loosest of those that all of them have: within them lie all their networks.
    """
    first = group[0]
    budgets = [[parse_budget(text) for text in one.get("budget", ())] for one in group]
    kinds = [{(b.metric, b.is_fraction) for b in own} for own in budgets]
    common = sorted(set.intersection(*kinds))
    if len({(one.get("target"), one.get("timing_threads")) for one in group}) > 1:
        common = [kind for kind in common if kind[0] != LATENCY]
    common = [kind for kind in common if AT not in kind[0]]  # a supernet is timed on one target
    loosest = [
        max((b for own in budgets for b in own if (b.metric, b.is_fraction) == kind), key=_max)
        for kind in common
    ]
    found = {
        name: first[name] for name in (*OF_SUPERNET, "target", "timing_threads") if name in first
    }
    for name in ("precision", "sparsity", "pattern", "rank"):
        default = getattr(Config(), name)
        found[name] = list(dict.fromkeys(v for one in group for v in one.get(name, default)))
    return {
        **found,
        "budget": [budget.text for budget in loosest],
        "seed": first["data_seed"],
        "time": options.supernet_time,
        "set": _training(first),
    }


def _max(budget: Budget) -> float:
    return budget.max


def _names(settings: Sequence[Mapping[str, Any]], varying: Sequence[str]) -> list[str]:
    """A folder's name for every search, made of what varies."""
    names = []
    for one in settings:
        flat = {**one, **{f"set.{name}": value for name, value in one.get("set", {}).items()}}
        names.append(_slug([flat.get(name, "") for name in varying or ("space",)]))
    return _unique(names)


def _slug(values: Sequence[Any]) -> str:
    texts = [" ".join(map(str, v)) if isinstance(v, list | tuple) else str(v) for v in values]
    return "-".join(
        re.sub(r"[^A-Za-z0-9.]+", "_", Path(text).stem if "/" in text else text) for text in texts
    )


def _unique(names: Sequence[str]) -> list[str]:
    """The names, numbered where two are the same."""
    seen: dict[str, int] = {}
    found = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        found.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return found
