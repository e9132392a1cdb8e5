"""The command `nas exits`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from nas.cli.console import make_reporter, print_table, say
from nas.cli.options import AsJson, Device, Plugins

Of = Annotated[str, typer.Option(help="Which network: its key in the report, or how that begins.")]
Epochs = Annotated[
    float, typer.Option(min=0.01, max=100_000, help="Passes over the training images.")
]
MeanBudget = Annotated[
    str,
    typer.Option(
        help="Mean over the search split, of multiply-adds or latency: 60%MACs of the network "
        "without exits, 3MMACs or 0.1ms. [as early as costs no accuracy]"
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(min=0, max=1, help="Or the confidence above which an image leaves at an exit."),
]
Together = Annotated[
    bool,
    typer.Option("--together", help="Train the network, too. [it stays as it is, bit by bit]"),
]
ExitSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="exits 2 (before the network's own answer), latents 4 (vectors that look at maps), "
        "width 64, expand_ratio 2 (of their MLP), learning_rate. Repeatable.",
    ),
]


def exits(
    run: Annotated[Path, typer.Argument(help="The directory of a finished run.")],
    key: Of,
    epochs: Epochs = 5.0,
    budget: MeanBudget = "",
    threshold: Threshold = None,
    together: Together = False,
    further: ExitSettings = None,
    device: Device = None,
    plugin: Plugins = None,
    as_json: AsJson = False,
) -> None:
    """Give one network early exits: images that it is sure of leave before its last layers."""
    from nas.exits import Asked
    from nas.exits import exits as run_exits
    from nas.finalists.exiting import SETTINGS, ExitRecipe
    from nas.system.files import read_json
    from nas.system.typed import settings_among
    from search_spaces import load_plugins

    settings = settings_among(SETTINGS, further or ())
    recipe = ExitRecipe(epochs=epochs, is_together=together, **settings)
    asked = Asked(budget=budget, threshold=threshold)
    load_plugins(plugin or ())
    reporter = make_reporter(as_json)
    try:
        folder = run_exits(
            *(run, key, recipe, asked, reporter), plugins=plugin or (), device=device or ""
        )
    finally:
        reporter.close()
    card = read_json(folder / "card.json")
    if as_json:
        say(json.dumps({"folder": str(folder), "card": card}))
        return
    _tell(folder, card)


def _tell(folder: Path, card: dict[str, Any]) -> None:
    """A row per exit, and what all of them together are worth."""
    from nas.problem.budget import LATENCY, format_value

    rows = [
        [
            row["after"] or "all of it",
            format_value("macs", row["macs"]),
            format_value(LATENCY, row["latency_ms"]),
            f"{100 * row['accuracy']['search']:.1f} %",
            f"{100 * row['share']['search']:.1f} %",
        ]
        for row in card["exits"]
    ]
    print_table(["exit after", "multiply-adds", "latency", "accuracy of all", "leave"], rows)
    for name, prefix in (("with exits", ""), ("without", "network_")):
        right = (100 * card[f"{prefix}accuracy"][split]["fraction"] for split in ("search", "test"))
        search, test = right
        macs = card["network_macs"] if prefix else card["macs"]["search"]
        say(
            f"{name}: {search:.1f} % right on the search split ({test:.1f} on test), in the mean "
            f"{format_value('macs', macs)} and "
            f"{format_value(LATENCY, card[f'{prefix}latency']['median_ms'])}"
        )
    say(f"threshold: {card['threshold']:.4g}")
    say(f"files of {card['key']}: {folder}")
