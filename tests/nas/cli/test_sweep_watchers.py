"""What `nas sweep` shows while it runs: a table in a terminal, lines elsewhere."""

import io

import pytest
from rich.console import Console

from nas.cli.sweep import LiveTable, PlainLines
from nas.sweep.jobs import FAILED, FINISHED


def told(watcher: LiveTable | PlainLines) -> None:
    watcher.begin("runs", ["waits", "runs now", "ends [well]", "ends badly"])
    for name in ("runs now", "ends [well]", "ends badly"):
        watcher.started(name)
    watcher.ended("ends [well]", FINISHED, "5 networks")
    watcher.ended("ends badly", FAILED, "no images in '[photos]'")
    watcher.close()


def test_the_table_shows_every_job_and_how_many_are_where() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    told(LiveTable(console))
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().rsplit("runs: ", 1)[1]
    title, *rows = [line.strip(" │┃") for line in last.splitlines()]
    assert title.startswith("1 waiting, 1 running, 1 finished, 1 failed")
    cells = [[cell.strip() for cell in row.split("│")] for row in rows if "│" in row]
    assert cells == [
        ["runs now", "running"],
        ["waits", "waiting"],
        ["ends [well]", "finished", "5 networks"],
        ["ends badly", "failed", "no images in '[photos]'"],
    ]


def test_a_table_of_more_jobs_than_lines_shows_those_that_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LINES", "14")
    monkeypatch.setenv("COLUMNS", "80")
    console = Console(file=io.StringIO(), force_terminal=True, width=80, color_system=None)
    table = LiveTable(console)
    table.begin("runs", [f"job {i}" for i in range(40)])
    table.started("job 39")
    table.close()
    assert isinstance(console.file, io.StringIO)
    last = console.file.getvalue().rsplit("runs: ", 1)[1]
    assert "job 39" in last
    assert last.count("job ") == 6


def test_lines_say_how_many_are_left() -> None:
    console = Console(file=io.StringIO(), width=80)
    told(PlainLines(console))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().splitlines() == [
        "runs: 4",
        "runs now: started",
        "ends [well]: started",
        "ends badly: started",
        "ends [well]: finished, 5 networks; 3 left",
        "ends badly: failed, no images in '[photos]'; 2 left",
    ]
