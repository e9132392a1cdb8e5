"""The command `nas finetune`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.console import make_reporter, say, tell_front
from nas.cli.options import AsJson, Device, Plugins, SkipCorrupt

Key = Annotated[str, typer.Option(help="Which network: its key in the report, or how that begins.")]
Epochs = Annotated[
    float, typer.Option(min=0.01, max=100_000, help="Passes over the training images.")
]
TrainData = Annotated[
    str, typer.Option(help="Other training images, as in `nas search`. [the run's own]")
]
LearningRate = Annotated[
    float | None, typer.Option(min=1e-9, max=10.0, help="Peak. [the supernet's]")
]
BatchNorm = Annotated[
    str, typer.Option(help="Normalise by each batch (batch), or by statistics that stay (frozen).")
]
AwareShare = Annotated[
    float,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Share of the time, at the end, that is quantization-aware: steps of integer grids "
        "are learnt with the weights.",
    ),
]

Teachers = Annotated[
    list[str] | None,
    typer.Option(
        help="What it learns from besides labels: none, largest (member of the supernet), "
        "brought (what nas compress was given), or the path of an ONNX file or of a folder "
        "with model.onnx; repeat it to learn from the mean of several. [none]"
    ),
]
Unlabelled = Annotated[
    str,
    typer.Option(
        metavar="DIR",
        help="Folder of further images without labels: the teacher says what they are. Needs "
        "--set labels_share=0.",
    ),
]
RecipeSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="labels_share 0.5 (of the loss beside a teacher); weight_decay; drop_path 0 (share "
        "of images that pass by blocks); stored=variants or stored=regions (the teacher is asked "
        "once, and its answers are kept), variants 4, top 0 (probabilities kept; 0: all); low_rank "
        "0 (of updates); activate 0 (share of the units that are made linear, the deadest ones); "
        "and weights, 0 at first: discriminator, affinity, image_level, region_level, "
        "pixel_level. Repeatable.",
    ),
]

GrowTo = Annotated[
    str,
    typer.Option(
        metavar="KEY|FILE.json|JSON",
        help="Train a larger network that begins with what this one computes: another network of "
        "the run, or the options that change, by names of choices.",
    ),
]


def finetune(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    key: Key,
    epochs: Epochs = 10.0,
    teacher: Teachers = None,
    data: TrainData = "",
    unlabelled: Unlabelled = "",
    skip_corrupt: SkipCorrupt = False,
    learning_rate: LearningRate = None,
    batch_norm: BatchNorm = "batch",
    aware: AwareShare = 0.0,
    further: RecipeSettings = None,
    grow_to: GrowTo = "",
    device: Device = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Train one network further, alone, and add it to the front: exported, measured, verified."""
    from nas.data._load import absolute_if_path
    from nas.finalists.lessons import SETTINGS
    from nas.finalists.recipe import Recipe
    from nas.finalists.teacher import AND
    from nas.finetune import finetune as run_finetune
    from nas.prepare.phases import NO_TEACHER
    from nas.system.typed import settings_among
    from reports import build_report
    from search_spaces import load_plugins

    load_plugins(plugin or ())
    recipe = Recipe(
        epochs=epochs,
        teacher=AND.join(teacher or [NO_TEACHER]),
        data=absolute_if_path(data) if data else "",
        learning_rate=learning_rate or 0.0,
        batch_norm=batch_norm,
        aware_share=aware,
        unlabelled=str(Path(unlabelled).resolve()) if unlabelled else "",
        **settings_among(SETTINGS, further or ()),
    )
    reporter = make_reporter(as_json)
    try:
        found = run_finetune(
            *(run, key, recipe, reporter),
            plugins=plugin or (),
            device=device or "",
            grow_to=_key_or_options(grow_to),
            skip_corrupt=skip_corrupt,
        )
    finally:
        reporter.close()
    report = build_report(run)
    place = "is on the front" if found["on_front"] else f"is not on the front: {found['reason']}"
    told = f"{found['key']} {place}\nreport: {report}"
    tell_front(run, {**found, "report": str(report)}, lambda: say(told), as_json=as_json)


def _key_or_options(text: str) -> str | dict[str, Any]:
    """What `--grow-to` says: a key, or the options of a JSON object or of its file."""
    from nas.system.files import given_object

    is_document = text.lstrip().startswith("{") or text.endswith(".json")
    return given_object(text, "--grow-to") if is_document else text
