"""The command `nas compress`."""

from pathlib import Path
from typing import Annotated

import typer

from nas.cli.options import (
    AsJson,
    Budgets,
    Cache,
    ConfigFile,
    ControllerName,
    Data,
    DataDir,
    Device,
    ExecutorName,
    Fixed,
    Further,
    MethodName,
    Pattern,
    Plugins,
    Seed,
    SkipCorrupt,
    TargetNames,
    Threads,
    Time,
    Trials,
    computed_by,
    images_of,
    policy_of,
    problem_of,
    scored_by,
    settings_of,
    targets_of,
)
from nas.system.text import fractions

SPARSITIES = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75)

Model = Annotated[
    str,
    typer.Argument(
        help="The network: FILE.onnx, FILE.pt2, or FILE.py:FUNCTION or package.module:FUNCTION, "
        "which is executed.",
        show_default=False,
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(help="Its weights: safetensors, or a state that torch.save wrote."),
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Per channel, what it takes from pixels between 0 and 1: 0.485,0.456,0.406. "
        "[what the model says, or that of the data]"
    ),
]
Std = Annotated[str | None, typer.Option(help="What they are then divided by. [likewise]")]
ModelResolution = Annotated[
    str | None,
    typer.Option(
        "--resolution",
        metavar="PX|HxW",
        help="Size of the images in pixels: 96 for squares, 96x128 for height x width. "
        "[what the model says, or the data's]",
    ),
]
MaxDrop = Annotated[
    str | None,
    typer.Option(
        help="How much worse than the network as it was brought a result may be: 0.5% for half a "
        "percentage point of accuracy on the search split. [no limit]"
    ),
]
PartPrecision = Annotated[
    str | None, typer.Option("--precision", help="Formats a part may have. [fp32,int8]")
]
Pruned = Annotated[
    str | None,
    typer.Option(
        "--sparsity",
        help=f"Fractions pruning may remove. [{','.join(f'{s:g}' for s in SPARSITIES)}]",
    ),
]
Rank = Annotated[
    str | None,
    typer.Option(
        help="Shares of the full rank that layers may have, of which two then take the place of "
        "one: full,1/2,1/4. [full]"
    ),
]


def compress(
    model: Model,
    weights: Weights = None,
    mean: Mean = None,
    std: Std = None,
    max_drop: MaxDrop = None,
    plugin: Plugins = None,
    budget: Budgets = None,
    data: Data = None,
    data_dir: DataDir = None,
    cache: Cache = None,
    resolution: ModelResolution = None,
    skip_corrupt: SkipCorrupt = False,
    target: TargetNames = None,
    precision: PartPrecision = None,
    sparsity: Pruned = None,
    fix: Fixed = None,
    pattern: Pattern = None,
    rank: Rank = None,
    method: MethodName = None,
    controller: ControllerName = None,
    executor: ExecutorName = None,
    trials: Trials = None,
    time: Time = None,
    seed: Seed = None,
    threads: Threads = None,
    device: Device = None,
    out: Annotated[
        Path | None, typer.Option(help="Run directory. [runs/<model>-<data>-<hash>]")
    ] = None,
    config: ConfigFile = None,
    set_: Further = None,
    as_json: AsJson = False,
) -> None:
    """Prune and quantize a network that you have, and write a Pareto report of verified files."""
    from nas.cli.running import run_search
    from nas.run.config import make_config

    flags = {
        "model": model,
        "weights": weights,
        "mean": fractions(mean, "mean"),
        "std": fractions(std, "std"),
        "max_drop": max_drop,
        **problem_of(None, plugin, budget),
        **images_of(data, None, data_dir, cache, resolution, skip_corrupt=skip_corrupt),
        **targets_of(target),
        **policy_of(precision, sparsity, pattern, rank, fix),
        "method": method,
        "controller": controller,
        **scored_by(executor, None),
        "trials": trials,
        "time": time,
        "seed": seed,
        **computed_by(threads, device, None),
    }
    resolved = make_config({"sparsity": SPARSITIES, **settings_of(config, set_, flags)})
    run_search(resolved, out or resolved.default_out(), as_json=as_json)
