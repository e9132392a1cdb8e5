"""The command `nas stitch`."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from nas.cli.console import make_reporter, say
from nas.cli.options import AsJson, Cache, Data, DataDir, images_of
from nas.system.text import fractions

TwoWay = Annotated[
    bool,
    typer.Option(
        "--two-way", help="Lead from larger models into smaller ones, too, and there and back."
    ),
]
MOST_UPDATE_RANK = 4096
UpdateRank = Annotated[
    int,
    typer.Option(
        min=0,
        max=MOST_UPDATE_RANK,
        metavar="RANK",
        help="Keep the layers between models as they begin, and train an update of this rank "
        "beside each, such as 8; 0 trains all of them.",
    ),
]


def stitch(
    models: Annotated[
        list[str],
        typer.Argument(
            help="Two or more: FILE.onnx, such as a model.onnx in fp32 of a run, FILE.pt2, or "
            "FILE.py:FUNCTION, which is executed and loads its weights.",
            show_default=False,
        ),
    ],
    out: Annotated[Path, typer.Option(help="File to write: NAME.safetensors.")],
    data: Data = None,
    data_dir: DataDir = None,
    cache: Cache = None,
    resolution: Annotated[
        str | None,
        typer.Option(
            metavar="PX|HxW",
            help="Size of the images in pixels. [what the first model says, or the data's]",
        ),
    ] = None,
    mean: Annotated[
        str | None, typer.Option(help="As in nas compress. [what the model or the data says]")
    ] = None,
    std: Annotated[str | None, typer.Option(help="As in nas compress. [likewise]")] = None,
    two_way: TwoWay = False,
    update_rank: UpdateRank = 0,
    as_json: AsJson = False,
) -> None:
    """Join trained models of several sizes to a family of many, for `nas compress`."""
    from nas.run.config import make_config
    from nas.stitch import stitch as run_stitch

    flags = {
        "model": models[0],
        "mean": fractions(mean, "mean"),
        "std": fractions(std, "std"),
        **images_of(data, None, data_dir, cache, resolution, skip_corrupt=False),
    }
    config = make_config({name: value for name, value in flags.items() if value is not None})
    reporter = make_reporter(as_json)
    try:
        found = run_stitch(
            models, config, out, reporter, is_two_way=two_way, update_rank=update_rank
        )
    finally:
        reporter.close()
    if as_json:
        say(json.dumps(found))
        return
    say(f"{found['file']}: {len(found['paths'])} networks between {len(models)} models")
    say(f"next: {shlex.join(['nas', 'compress', found['file'], '--data', config.data])}")
