"""What a search is told: the command line's flags and the same names in a TOML file.

A default is written here once. `config.toml` in a run directory is the resolved configuration, and
a run continues only with the same one.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nas.data._base import HELD_GB
from nas.data._load import absolute_if_path, label_of
from nas.problem.drop import parse_drop
from nas.problem.fix import parse_fix
from nas.system.text import parse_time
from nas.targets import one_text_each
from search_spaces import (
    DENSE,
    FULL_RANK,
    Resolution,
    UserError,
    is_space_file,
    load_plugins,
    resolution_of,
)
from supernets.device import CPU, checked_device

DEFAULT_TIME = "5m"
MOST = {
    "trials": 1_000_000,
    "lag": 1_000_000,
    "threads": 1024,
    "devices": 64,
    "timing_threads": 1024,
    "workers": 1024,
    "seed": 2**64 - 1,
    "data_seed": 2**64 - 1,
}
"""Largest values: of a seed what torch takes, of the rest what no search needs."""

MODEL_FILES = (".onnx", ".pt2", ".safetensors")
"""What files of models end with that need no function; the last are those that runs keep."""

STANDS_FOR: Mapping[str, tuple[Any, str]] = {
    "plugins": ([], "none"),
    "fix": ([], "nothing"),
    "task": ("", "what the labels say"),
    "data_dir": ("", "the usual places"),
    "cache": ("", "runs/.cache"),
    "resolution": (0, "the data's own"),
    "workers": (0, "one per core"),
    "ray_address": ("", "a Ray on this machine only"),
    "lag": (-1, "the executor's own"),
    "trials": (0, "as many as fit the time"),
    "supernet": ("", "trained in this run"),
    "profile": ("", "measured in this run"),
    "data_seed": (-1, "the seed"),
    "model": ("", "none"),
    "weights": ("", "those that it is made with"),
    "mean": ([], "that of the model or the data"),
    "std": ([], "that of the model or the data"),
    "max_drop": ("", "no limit"),
    "threads": (0, "all cores"),
}
"""Values that are no numbers and no names, and what they say."""

WITHOUT_EFFECT = {
    *("plugins", "data_dir", "cache", "threads", "devices"),
    *("workers", "executor", "ray_address"),
}
"""Fields that say where and how; what is searched for names plug-ins, wherever they lie."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """A search. Names are those of the flags.

    Attributes:
        space: A search space's name, or the path of a Python file with one.
        plugins: Paths of Python files that register operators, controllers and the like.
        data: A data set's name, or the path of the user's own images.
        task: What is asked of the images, such as "super-resolution:scale=3", or what their labels
            must be for, "segmentation"; "" for what the labels of the data say.
        data_dir: Where a named data set's files are; "" for the usual places.
        cache: Folder for decoded images; "" for runs/.cache.
        resolution: Height and width in pixels of what networks see, 96 or "96x128"; 0 for the
            data's own.
        skip_corrupt: Whether images of the user's own that cannot be read are left out.
        held_gb: Size of all decoded images, 10^9 bytes, above which those of train are decoded
            while training runs, not before; 0 for always.
        budget: Limits as text, such as "4.5GFLOPs".
        target: Runtime on which latency is measured, with its options, such as
            "onnxruntime:batch=8".
        other_targets: On which members are timed, too; limits may be on latency there.
        timing_threads: Threads of the runtime, where a target does not say it.
        precision: Formats that a stage may have.
        sparsity: Fractions that pruning may remove from a stage.
        rank: Shares of the full rank that layers of a network that was brought may have; the full
            one comes first.
        pattern: Sparsity patterns that a stage's weights may have; dense comes first.
        controller: What proposes candidates.
        method: How the supernet is trained.
        executor: Where candidates are scored.
        workers: Scores of the executor at the same time; 0 for one per core.
        ray_address: Of the Ray cluster, "auto" or HOST:PORT; "" for a Ray on this machine only.
        lag: Trials by which the results that a candidate is asked for with may be behind; -1 for
            the executor's own. Same seed, same lag: same trials, with any executor.
        trials: Candidates to score; 0 to fit the time.
        time: How long all phases together should take: "90s", "20m", "1.5h".
        fix: Options that alone are left of choices, as "stage*.sparsity=0": see `nas.problem.fix`.
            With a given supernet its other members stay as they were trained.
        supernet: A run directory whose trained supernet is used; "" to train one.
        profile: A folder with a latency profile of `nas profile --space`; "" to measure one.
        seed: Of everything random.
        data_seed: Of splits and of images that are generated; -1 for `seed`. Searches that share a
            supernet share it.
        threads: Cores that training and scoring use; 0 for all.
        device: Where networks are trained and scored: "cpu", "cuda", "cuda:1", "mps", "xpu", or
            "auto" for what torch finds. Files are exported, timed and verified elsewhere.
        devices: That share the steps of a supernet's training, a process for each, of the kind that
            `device` names; 1 for that one alone.
        model: A network of the user's to compress, "FILE.onnx", "FILE.pt2", "FILE.py:function" or
            "module:function"; "" to search a space.
        weights: File of its weights; "" for those that the function gives it.
        mean: By channel, what it was trained to have taken from pixels between 0 and 1; () for what
            its own configuration says, or else the data's own.
        std: What they are then divided by.
        max_drop: How much worse than the model members may be, in the task's metric: "0.5%" of
            accuracy are half a percentage point; "" for no limit.
        set: Further settings by name: fields of the training plan, the phase plan, the controller,
            the training method and the executor, such as {"learning_rate": 0.001}.
    """

    space: str = "hybrid"
    plugins: tuple[str, ...] = ()
    data: str = "digit-pairs"
    task: str = ""
    data_dir: str = ""
    cache: str = ""
    resolution: Resolution = 0
    skip_corrupt: bool = False
    held_gb: float = HELD_GB
    budget: tuple[str, ...] = ()
    target: str = "onnxruntime"
    other_targets: tuple[str, ...] = ()
    timing_threads: int = 1
    precision: tuple[str, ...] = ("fp32", "int8")
    sparsity: tuple[float, ...] = (0.0, 0.25, 0.5)
    pattern: tuple[str, ...] = (DENSE,)
    rank: tuple[str, ...] = (FULL_RANK,)
    controller: str = "predictor"
    method: str = "sortednet"
    executor: str = "processes"
    workers: int = 0
    ray_address: str = ""
    lag: int = -1
    trials: int = 0
    time: str = DEFAULT_TIME
    fix: tuple[str, ...] = ()
    supernet: str = ""
    profile: str = ""
    seed: int = 0
    data_seed: int = -1
    threads: int = 0
    device: str = CPU
    devices: int = 1
    model: str = ""
    weights: str = ""
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    max_drop: str = ""
    set: Mapping[str, float | int | str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        parse_time(self.time)
        checked_device(self.device)
        sides_or_own(self.resolution)
        for name in ("trials", "seed", "threads", "workers"):
            if getattr(self, name) < 0:
                raise UserError(f"{name} is {getattr(self, name)}. It must not be negative.")
        if not 0 <= self.held_gb < math.inf:
            raise UserError(f"held_gb is {self.held_gb}. It must be a number of GB, 0 or more.")
        for name in ("timing_threads", "devices"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}. It must be at least 1.")
        for name in ("lag", "data_seed"):
            if getattr(self, name) < -1:
                raise UserError(
                    f"{name} is {getattr(self, name)}. "
                    f"It must be -1 ({STANDS_FOR[name][1]}) or more."
                )
        for name, most in MOST.items():
            if getattr(self, name) > most:
                raise UserError(
                    f"{name} is {getattr(self, name)!s:.40}. It must be at most {most}."
                )
        _check_distinct("precision", self.precision, "fp32,int8")
        _check_distinct("sparsity", self.sparsity, "0,0.25,0.5")
        _check_distinct("pattern", self.pattern, "dense,two-of-four")
        _check_distinct("rank", self.rank, "full,1/2,1/4")
        for sparsity in self.sparsity:
            if not 0.0 <= sparsity < 1.0:
                raise UserError(
                    f"sparsity {sparsity} is not a fraction that pruning can remove. "
                    "Allowed: 0 up to, and without, 1. Try --sparsity 0,0.25,0.5"
                )
        if 0.0 not in self.sparsity:
            raise UserError(
                f"sparsity {list(self.sparsity)} leaves no unpruned network, which training needs "
                "as its teacher. Add 0."
            )
        if self.max_drop:
            parse_drop(self.max_drop)
        if self.max_drop and not self.model:
            raise UserError(
                f"max_drop is '{self.max_drop}', and no model is given: it limits what is lost "
                "against a network that was brought. Use `nas compress`, or leave it out."
            )
        for text in self.fix:
            parse_fix(text)
        _check_set(self.set)

    @property
    def split_seed(self) -> int:
        """What decides the images of every split."""
        return self.seed if self.data_seed < 0 else self.data_seed

    @property
    def seconds(self) -> float:
        """The time in seconds."""
        return parse_time(self.time)

    def settings_of(self, cls: type) -> dict[str, Any]:
        """What `--set` says about the fields of this dataclass."""
        names = {field.name for field in dataclasses.fields(cls)}
        return {name: value for name, value in self.set.items() if name in names}

    @property
    def digest(self) -> str:
        """8 hexadecimal digits that name what is searched for, whatever does not change results.

        Fields that have their default do not count, so a new field renames no run.
        """
        named = {
            field.name: getattr(self, field.name)
            for field in dataclasses.fields(self)
            if field.name not in WITHOUT_EFFECT and getattr(self, field.name) != _default(field)
        }
        text = json.dumps(named, sort_keys=True, default=dict)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def default_out(self) -> Path:
        """The run directory of this configuration when none is given."""
        of = Path(self.model.rpartition(":")[2] if self.model else self.space).stem
        return Path("runs") / f"{of}-{label_of(self.data)}-{self.digest}"

    def to_toml(self) -> str:
        """The configuration as a file that `read_config` reads."""
        lines, tables = [], []
        for name, value in dataclasses.asdict(self).items():
            if isinstance(value, Mapping):
                tables += [f"\n[{name}]", *(f"{k} = {_toml(v)}" for k, v in value.items())]
            else:
                lines.append(f"{name} = {_toml(value)}")
        return "\n".join([*lines, *tables]) + "\n"


def _default(field: "dataclasses.Field[Any]") -> Any:
    factory = field.default_factory
    return field.default if factory is dataclasses.MISSING else factory()


def make_config(settings: Mapping[str, Any]) -> Config:
    """The configuration with these settings and defaults for the rest; paths become absolute.

    Its plug-ins are loaded, so that names are known from paths.

    Raises:
        UserError: If a value is outside what is allowed, or a plug-in cannot be used.
    """
    config = Config(**settings)
    plugins = tuple(str(Path(file).absolute()) for file in config.plugins)
    load_plugins(plugins)
    texts = (config.target, *config.other_targets)
    target, *others = one_text_each(texts, config.timing_threads)
    space = config.space
    if is_space_file(space):
        space = str(Path(space).resolve())
    return dataclasses.replace(
        config,
        data=absolute_if_path(config.data),
        target=target,
        other_targets=tuple(others),
        space=space,
        resolution=sides_or_own(config.resolution),
        plugins=plugins,
        model=_absolute_model(config.model),
        weights=str(Path(config.weights).expanduser().absolute()) if config.weights else "",
    )


def _absolute_model(model: str) -> str:
    """The model with the path of its file from the root; a module's name stays."""
    if model.endswith(MODEL_FILES):
        return str(Path(model).expanduser().absolute())
    file, colon, function = model.rpartition(":")
    if not file.endswith(".py"):
        return model
    return f"{Path(file).expanduser().absolute()}{colon}{function}"


def may_change(name: str, old: Any, new: Any) -> bool:
    """Whether one value can stand for the other: it has no effect on what is searched for, or both
    say where the same thing may lie. What lies there is compared when it is read.
    """
    if name in WITHOUT_EFFECT:
        return True
    if not isinstance(old, str) or not isinstance(new, str):
        return False
    if name == "space":
        return is_space_file(old) and is_space_file(new)
    if name == "data":
        return Path(old).is_absolute() and Path(new).is_absolute()  # others may be names
    return name in ("supernet", "profile", "model", "weights") and bool(old) and bool(new)


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed, as "budget 12ms -> 15ms"."""
    names = dict.fromkeys([*old, *new])
    return [
        f"{name} {old.get(name)!r} -> {new.get(name)!r}"
        for name in names
        if old.get(name) != new.get(name)
    ]


def sides_or_own(size: Any) -> Resolution:
    """The size as it is written; 0 for the data's own."""
    return 0 if str(size) == "0" else resolution_of(size)


def _check_distinct(name: str, values: tuple[Any, ...], example: str) -> None:
    if not values or len(set(values)) < len(values):
        raise UserError(
            f"{name} is {list(values)}. It must name at least one, and each once. "
            f"Try --{name} {example}"
        )


def _check_set(settings: Mapping[str, Any]) -> None:
    for name, value in settings.items():
        is_number = isinstance(value, int | float) and math.isfinite(value)
        if not is_number and not isinstance(value, str):
            raise UserError(f"setting '{name}' is {value!r}. It must be a number, a word or true.")


def _toml(value: Any) -> str:
    """A value as TOML writes it: as JSON does, but for characters that JSON would escape."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
