"""Options that several commands have, and how their text is read."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

Budgets = Annotated[
    list[str] | None,
    typer.Option(
        "--budget",
        help="A limit; repeat for several: 4.5GFLOPs (multiply-adds), 300MMACs, 5Mparams, 2MB, "
        "12ms, 60%MACs (of the largest network).",
    ),
]
SpaceName = Annotated[
    str | None,
    typer.Option("--space", help="Search space, or a Python file with one. [hybrid]"),
]
Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="FILE.py",
        help="Python file that adds an operator, a controller, a data set or the like, by its own "
        "name; repeatable.",
    ),
]
Data = Annotated[
    str | None,
    typer.Option(
        help="digit-pairs, digits, digit-scenes, fashion-mnist or cifar10, or your own: the path "
        "of a folder of class folders (or of train, test and val with these), of images/ and "
        "masks/, of Parquet files, or of an .npz file. [digit-pairs]"
    ),
]
TaskName = Annotated[
    str | None,
    typer.Option(
        "--task",
        help="What is asked of the images: super-resolution, or super-resolution:scale=3, with "
        "--space sr; or what labels must be for: segmentation, with --space segment. "
        "[what the labels say]",
    ),
]
DataDir = Annotated[
    str | None, typer.Option(help="Where the files of fashion-mnist or cifar10 are.")
]
Cache = Annotated[str | None, typer.Option(help="Folder for decoded images. [runs/.cache]")]
Resolution = Annotated[
    str | None,
    typer.Option(
        metavar="PX|HxW",
        help="Size of what networks see in pixels: 96 for squares, 96x128 for height x width. "
        "[the data's own]",
    ),
]
SkipCorrupt = Annotated[
    bool, typer.Option("--skip-corrupt", help="Leave out images that cannot be read.")
]
GivenProfile = Annotated[
    str | None,
    typer.Option(
        "--profile",
        help="Folder of a latency profile that `nas profile --space` has made. [measured anew]",
    ),
]
RUNTIME = (
    "Runtime to time on, with options: onnxruntime:threads=2,batch=8, or an agent on another "
    "device: remote:HOST:PORT."
)
TargetNames = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        help=f"{RUNTIME} Repeat to time members on others, too, and limit latency there: "
        "--budget 5ms@openvino. [onnxruntime]",
    ),
]
TargetName = Annotated[str | None, typer.Option(help=f"{RUNTIME} [onnxruntime]")]
Precision = Annotated[str | None, typer.Option(help="Formats a stage may have. [fp32,int8]")]
Sparsity = Annotated[str | None, typer.Option(help="Fractions pruning may remove. [0,0.25,0.5]")]
Fixed = Annotated[
    list[str] | None,
    typer.Option(
        "--fix",
        metavar="CHOICES=OPTIONS",
        help="Only these options of choices: 'stage*.sparsity=0', 'stage1.width=16,24'; "
        "repeatable.",
    ),
]
Pattern = Annotated[
    str | None,
    typer.Option(
        help="Sparsity patterns weights may have: dense,two-of-four,blocks-32-50. [dense]"
    ),
]
Time = Annotated[str | None, typer.Option(help="For all phases together: 90s, 20m, 1.5h. [5m]")]
Seed = Annotated[int | None, typer.Option(help="Of everything random. [0]")]
ControllerName = Annotated[
    str | None,
    typer.Option(
        "--controller",
        help="predictor, evolution, local, nsga2, tpe, gp, reinforce, recurrent, conservative, "
        "n2n, nni-tpe, random or a plug-in's. [predictor]",
    ),
]
MethodName = Annotated[
    str | None,
    typer.Option(
        "--method",
        help="How the supernet is trained: sortednet, sandwich, shiftnas, multiarch, shrinking or "
        "another of docs/train-once.md, or a plug-in's. [sortednet]",
    ),
]
ExecutorName = Annotated[
    str | None,
    typer.Option(
        "--executor",
        help="Where candidates are scored: processes, inline or ray. [processes]",
    ),
]
Workers = Annotated[int | None, typer.Option(help="Scores at the same time. [one per core]")]
RayAddress = Annotated[
    str | None,
    typer.Option(help="Ray cluster: auto or HOST:PORT. [a Ray on this machine only]"),
]
Trials = Annotated[int | None, typer.Option(help="Candidates to score. [as many as fit the time]")]
Threads = Annotated[int | None, typer.Option(help="Cores that training and scoring use. [all]")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Where networks are trained and scored: cpu, cuda, cuda:1, mps, xpu, or auto for what "
        "torch finds. [cpu]",
    ),
]
Devices = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Of that kind, which share the steps of training: one process each. [1]",
    ),
]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", help="TOML file with the same names as these flags.")
]
Further = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any other setting, such as learning_rate=0.002; repeatable."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Say what would be done, and about how much time, memory and disk it takes; do "
        "nothing.",
    ),
]
EventFiles = Annotated[
    bool, typer.Option("--tensorboard", help="Also write event files, RUN/tensorboard.")
]
AsJson = Annotated[
    bool, typer.Option("--json", help="Print the result as JSON, progress on stderr.")
]


def problem_of(
    space: str | None, plugin: Sequence[str] | None, budget: Sequence[str] | None
) -> dict[str, Any]:
    """The flags that say what is searched, as settings."""
    return {
        "space": space,
        "plugins": tuple(plugin) if plugin else None,
        "budget": tuple(budget) if budget else None,
    }


def scored_by(
    executor: str | None, ray_address: str | None, workers: int | None = None
) -> dict[str, Any]:
    """The flags that say where candidates are scored, as settings."""
    return {"executor": executor, "ray_address": ray_address, "workers": workers}


def computed_by(threads: int | None, device: str | None, devices: int | None) -> dict[str, Any]:
    """The flags that say what trains, as settings."""
    return {"threads": threads, "device": device, "devices": devices}


def images_of(
    data: str | None,
    task: str | None,
    data_dir: str | None,
    cache: str | None,
    resolution: str | None,
    *,
    skip_corrupt: bool,
) -> dict[str, str | bool | None]:
    """The flags that say which images there are, as settings."""
    return {
        "data": data,
        "task": task,
        "data_dir": data_dir,
        "cache": cache,
        "resolution": resolution,
        "skip_corrupt": skip_corrupt or None,
    }


def policy_of(
    precision: str | None,
    sparsity: str | None,
    pattern: str | None,
    rank: str | None = None,
    fix: Sequence[str] | None = None,
) -> dict[str, tuple[str, ...] | tuple[float, ...] | None]:
    """The flags that say what may become of weights, and what is left of choices, as settings."""
    from nas.system.text import fractions, words

    return {
        "precision": words(precision),
        "sparsity": fractions(sparsity),
        "pattern": words(pattern),
        "rank": words(rank),
        "fix": tuple(fix) if fix else None,
    }


def targets_of(names: Sequence[str] | None) -> dict[str, Any]:
    """Settings of the targets in their order; the first one is what the search is about."""
    if not names:
        return {}
    return {"target": names[0], "other_targets": tuple(names[1:])}


def settings_of(
    config: Path | None, further: Sequence[str] | None, flags: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings of a file, over which flags win.

    Args:
        config: The file, or None.
        further: Texts "name=value" for the table `set`.
        flags: By the names of `nas.run.config.Config`; None where not given.

    Raises:
        UserError: If the file or one of the texts has a mistake.
    """
    from nas.run.config_file import read_config
    from nas.system.text import setting

    settings = read_config(config) if config else {}
    settings |= {name: value for name, value in flags.items() if value is not None}
    if further:
        settings["set"] = {**settings.get("set", {}), **dict(map(setting, further))}
    return settings
