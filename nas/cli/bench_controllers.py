"""The command `nas bench controllers`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas.cli.console import print_table, say
from nas.cli.options import Plugins
from nas.system.text import finite, words

if TYPE_CHECKING:
    from nas.bench.benchmark import Benchmark, Record
    from nas.bench.table import Table
    from nas.problem.problem import Limit, Objective

MOST_EVALUATIONS = 1_000_000


def bench_controllers(
    table: Annotated[Path, typer.Option(help="CSV file: one evaluated network per row.")],
    choices: Annotated[
        str, typer.Option(help="Columns that are choices; patterns allowed: 'layer*,depth'.")
    ] = "",
    space: Annotated[
        Path | None, typer.Option(help="Instead of --choices: what `nas space import` wrote.")
    ] = None,
    maximize: Annotated[str, typer.Option(help="Columns to maximize, with commas.")] = "",
    minimize: Annotated[str, typer.Option(help="Columns to minimize, with commas.")] = "",
    reference: Annotated[
        str,
        typer.Option(
            help="Where each objective stops to count, those to maximize first: numbers, or min or "
            "max of the column. [the worst of each column]"
        ),
    ] = "",
    evaluations: Annotated[
        str, typer.Option(help="Numbers of evaluations after which to look.")
    ] = "30,50,100,200",
    seeds: Annotated[int, typer.Option(min=1, max=10_000, help="Searches per controller.")] = 10,
    controllers: Annotated[str, typer.Option(help="Controllers, with commas. [all]")] = "",
    plugin: Plugins = None,
    known: Annotated[
        str, typer.Option(help="Columns that are known without an evaluation, with commas.")
    ] = "",
    limit: Annotated[
        list[str] | None, typer.Option(help="What must hold: COLUMN=MAX; repeat for several.")
    ] = None,
    noise: Annotated[
        str, typer.Option(help="Column with the standard deviation of the first objective.")
    ] = "",
    out: Annotated[Path | None, typer.Option(help="Page with the plot. [none]")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare controllers on a table: how much of its front they find, and how fast they ask."""
    from nas.bench.benchmark import controllers_of, measure, table_of
    from search_spaces import load_plugins

    load_plugins(plugin or ())
    numbers = _numbers(evaluations)
    cells = table_at(table, choices, space)
    problem = benchmark_of(
        cells, maximize, minimize, reference, known=known, limits=limit or [], noise=noise
    )
    records: dict[str, Record] = {}
    for name, controller in controllers_of(words(controllers) or ()).items():
        say(f"{name}: {seeds} searches of {max(numbers)} evaluations", err=True)
        records[name] = measure(problem, controller, evaluations=numbers, seeds=seeds)
    if out is not None:
        from reports import build_bench

        say(f"plot: {build_bench(problem, records, out)}", err=True)
    if as_json:
        say(json.dumps({"controllers": {n: r.to_json() for n, r in records.items()}}))
    else:
        print_table(*table_of(records))


def table_at(path: Path, choices: str, space: Path | None) -> "Table":
    """The table in a file, its choices named by patterns or by the file of a space.

    Raises:
        UserError: If it cannot be read, or not exactly one of the two is given.
    """
    from nas.bench.table import read_table, read_table_of
    from nas.inspect.interchange import read_space
    from search_spaces import UserError

    if bool(choices) == (space is not None):
        found = "both are" if choices else "neither is"
        raise UserError(
            f"table '{path}': --choices and --space say which columns are choices, and {found} "
            "given. Give one: --choices 'layer*,depth', or --space SPACE.json."
        )
    if space is None:
        return read_table(path, words(choices) or ())
    return read_table_of(path, read_space(space))


def benchmark_of(
    table: "Table",
    maximize: str,
    minimize: str,
    reference: str,
    *,
    known: str,
    limits: list[str],
    noise: str,
) -> "Benchmark":
    """The benchmark that the flags describe.

    Raises:
        UserError: If a flag does not fit the table.
    """
    from nas.bench.benchmark import Benchmark
    from nas.problem.problem import Objective

    objectives = (
        *(Objective(name, "maximize") for name in words(maximize) or ()),
        *(Objective(name, "minimize") for name in words(minimize) or ()),
    )
    names = words(known) or ()
    for name in (*(o.metric for o in objectives), *names, *([noise] if noise else [])):
        table.column(name)
    found = Benchmark(
        table=table,
        objectives=objectives,
        reference=_reference(table, objectives, words(reference) or ()),
        limits=tuple(_limit(table, text) for text in limits),
        known=names,
        noise=noise,
    )
    found.check()
    return found


def _reference(
    table: "Table", objectives: "tuple[Objective, ...]", texts: tuple[str, ...]
) -> tuple[float, ...]:
    import numpy as np

    from search_spaces import UserError

    texts = texts or tuple("min" if o.goal == "maximize" else "max" for o in objectives)
    if len(texts) != len(objectives):
        raise UserError(
            f"reference '{','.join(texts)}' has {len(texts)} values for {len(objectives)} "
            f"objectives: {', '.join(o.metric for o in objectives)}. Give one for each, in this "
            "order."
        )
    values = []
    for text, objective in zip(texts, objectives, strict=True):
        column = table.column(objective.metric)
        ends = {"min": np.nanmin, "max": np.nanmax}
        value = float(ends[text](column)) if text in ends else finite(text)
        if value is None:
            raise UserError(
                f"reference '{text}' of '{objective.metric}' is not a number. "
                "Give a number, min or max."
            )
        values.append(value)
    return tuple(values)


def _limit(table: "Table", text: str) -> "Limit":
    from nas.problem.problem import Limit
    from search_spaces import UserError

    column, _, most = text.partition("=")
    table.column(column)
    value = finite(most)
    if value is None:
        raise UserError(
            f"limit '{text}' has no number. Write --limit {column}=MAX, in the column's unit."
        )
    return Limit(column, value, text=text)


def _numbers(text: str) -> tuple[int, ...]:
    from search_spaces import UserError

    try:
        numbers = tuple(int(part) for part in words(text) or ())
    except ValueError:
        numbers = ()
    if not numbers or min(numbers) < 1 or max(numbers) > MOST_EVALUATIONS:
        raise UserError(
            f"evaluations '{text:.40}' is not a list of positive integers up to "
            f"{MOST_EVALUATIONS}. Write 30,50,100,200."
        )
    return numbers
