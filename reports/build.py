"""Writing pages: a run's or sweep's report inside its folder, a comparison where the user wants it.

Every file is replaced as a whole: who opens one sees the old or the new one, never half.
"""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from nas.bench.benchmark import Benchmark, Record
from nas.bench.method_standings import MethodStandings
from nas.bench.standings import Standings
from nas.system.files import make_folder
from reports import bench_page, comparison_page, methods_page, operators_page, sweep_page
from reports.comparison import Comparison
from reports.load import load_run, warn_of_altered
from reports.markdown import markdown
from reports.page import render
from reports.sweep import load_sweep
from reports.sweep_frame import sweep_parquet
from reports.tables import pareto_csv
from search_spaces import UserError


def build_report(run_dir: Path) -> Path:
    """Writes report.html, report.md and pareto.csv into `run_dir/report`.

    What is not as the run wrote it is named there and logged.

    Args:
        run_dir: A run directory; the search may still be going on.

    Returns:
        The path of report.html.

    Raises:
        UserError: If the run cannot be read, or its folder `report` is none or lies elsewhere.
        OSError: If the disk is full or the report cannot be written; the old one stays.
    """
    run = load_run(run_dir, are_files_checked=True)
    warn_of_altered(run)
    folder = run_dir / "report"
    contents = {
        "pareto.csv": pareto_csv(run),
        "report.md": markdown(run),
        "report.html": render(run),
    }
    try:
        make_folder(folder)
        if folder.resolve() != run_dir.resolve() / "report":
            raise UserError(
                f"report '{folder}' is a link to '{folder.resolve()}', outside of the run. "
                "Nothing is written there. Remove the link and try again."
            )
        for name, content in contents.items():
            _write(folder / name, content)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    return folder / "report.html"


def build_comparison(comparison: Comparison, out: Path) -> Path:
    """Writes the page that shows runs side by side.

    Raises:
        UserError: If it cannot be written.
    """
    return _write_where_asked("comparison", out, comparison_page.render(comparison))


def build_bench(benchmark: Benchmark, records: Mapping[str, Record], out: Path) -> Path:
    """Writes the page that shows controllers side by side.

    Raises:
        UserError: If it cannot be written.
    """
    return _write_where_asked("plot", out, bench_page.render(benchmark, records))


def build_operators(standings: Standings, out: Path) -> Path:
    """Writes the page that shows operators side by side.

    Raises:
        UserError: If it cannot be written.
    """
    return _write_where_asked("page", out, operators_page.render(standings))


def build_methods(standings: MethodStandings, out: Path) -> Path:
    """Writes the page that shows training methods side by side.

    Raises:
        UserError: If it cannot be written.
    """
    return _write_where_asked("page", out, methods_page.render(standings))


def build_sweep_report(folder: Path) -> Path:
    """Writes report.html and sweep.parquet into a sweep's folder.

    Args:
        folder: A sweep's folder; its runs may still be going on.

    Returns:
        The path of report.html.

    Raises:
        UserError: If this is no sweep's folder, or sweep.json or outcomes.json cannot be read.
        OSError: If the disk is full or the report cannot be written; the old one stays.
    """
    sweep = load_sweep(folder)
    frame, page = sweep_parquet(sweep), sweep_page.render(sweep)
    try:
        _write(folder / "sweep.parquet", frame)
        _write(folder / "report.html", page)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(folder)) from error
    return folder / "report.html"


def _write_where_asked(what: str, out: Path, content: str) -> Path:
    try:
        _write(out, content)
    except OSError as error:
        raise UserError(
            f"{what} '{out}' cannot be written: {error.strerror or error}. "
            "Name a file in a folder that is there and that you may write to, with --out."
        ) from error
    return out


def _write(path: Path, content: str | bytes) -> None:
    """Replaces a file as a whole."""
    written = content.encode("utf-8") if isinstance(content, str) else content
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(written)
        os.chmod(temporary, 0o644)  # mkstemp makes files that only their owner can read
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
