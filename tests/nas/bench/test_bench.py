"""`nas bench controllers`: shares of the hypervolume that can be checked by hand, and controllers on a table."""

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from nas.bench.benchmark import Benchmark, Outcome, measure, record_of, run_search
from nas.bench.table import read_table
from nas.cli.app import main
from nas.controllers.random import Random
from nas.problem.problem import Limit, Objective
from search_spaces import UserError

QUALITY, COST = Objective("acc", "maximize"), Objective("macs", "minimize")


@pytest.fixture
def csv_file(tmp_path: Path) -> Path:
    """Three choices of three: quality and cost rise with the options; one network failed."""
    lines = ["a,b,op,acc,macs,std"]
    for a, b, op in itertools.product(range(3), range(3), ("x", "y", "z")):
        quality = "" if (a, b, op) == (2, 2, "z") else 10 * a + 5 * b + (op == "y")
        lines.append(f"{a},{b},{op},{quality},{1 + a + 2 * b},0.5")
    path = tmp_path / "table.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def benchmark(csv_file: Path) -> Benchmark:
    table = read_table(csv_file, ["a", "b", "op"])
    return Benchmark(table=table, objectives=(QUALITY, COST), reference=(0.0, 7.0))


def row_of(benchmark: Benchmark, **options: object) -> int:
    encoding = benchmark.table.space.encode(options)  # type: ignore[arg-type]
    return int(benchmark.table.positions(np.array([encoding]))[0])


def test_the_hypervolume_is_that_of_the_rows(benchmark: Benchmark) -> None:
    row = row_of(benchmark, a=1, b=0, op="y")  # quality 11, cost 2
    assert benchmark.hypervolume([row]) == pytest.approx(11.0 * 5.0)
    everything = Outcome(tuple(range(len(benchmark.table))), 1.0)
    record = record_of(benchmark, [everything], [27])
    assert record.shares[27] == (1.0,)
    assert record.front_found == 1.0


def test_failed_rows_and_rows_over_a_limit_do_not_count(benchmark: Benchmark) -> None:
    failed = row_of(benchmark, a=2, b=2, op="z")
    assert benchmark.hypervolume([failed]) == 0.0
    assert benchmark.evaluated(failed, 0, seed=0).failure
    limited = replace(benchmark, limits=(Limit("macs", 2.0),))
    assert limited.hypervolume([row_of(limited, a=2, b=0, op="y")]) == 0.0
    assert limited.hypervolume([row_of(limited, a=1, b=0, op="y")]) > 0.0


def test_nothing_is_known_unless_it_is_said(benchmark: Benchmark) -> None:
    assert benchmark.problem.model.metrics == ()
    knowing = replace(benchmark, known=("macs",))
    rows_NC = knowing.table.rows_NC
    assert (knowing.problem.known_losses(rows_NC)[:, 1] == knowing.table.column("macs")).all()
    assert np.isnan(knowing.problem.known_losses(rows_NC)[:, 0]).all()


def test_noise_is_on_the_first_objective_and_the_same_every_time(benchmark: Benchmark) -> None:
    noisy = replace(benchmark, noise="std")
    row = row_of(benchmark, a=1, b=1, op="x")
    one, again, other = (noisy.evaluated(row, 0, seed=seed).metrics for seed in (1, 1, 2))
    assert one == again
    assert one["acc"] != other["acc"]
    assert one["macs"] == 4.0
    assert noisy.volume == benchmark.volume


def test_a_search_evaluates_distinct_rows_and_ends_with_the_table(benchmark: Benchmark) -> None:
    outcome = run_search(benchmark, Random(seed=2).ask, evaluations=100, seed=2)
    assert sorted(outcome.rows) == list(range(27))
    assert outcome.ask_ms > 0.0


def test_controllers_stay_within_a_table_that_lacks_networks(csv_file: Path) -> None:
    lines = csv_file.read_text().splitlines()
    csv_file.write_text("\n".join(lines[:1] + lines[1::2]) + "\n")
    table = read_table(csv_file, ["a", "b", "op"])
    assert not table.is_complete
    found = Benchmark(table=table, objectives=(QUALITY, COST), reference=(0.0, 7.0))
    outcome = run_search(found, Random(seed=0).ask, evaluations=100, seed=0)
    assert sorted(outcome.rows) == list(range(len(table)))


def test_more_evaluations_never_have_less(benchmark: Benchmark) -> None:
    record = measure(benchmark, Random(), evaluations=(20, 5, 10), seeds=3)
    shares = np.array([record.shares[number] for number in (5, 10, 20)])
    assert list(record.shares) == [5, 10, 20]
    assert (np.diff(shares, axis=0) >= 0.0).all()
    assert (shares <= 1.0).all()


def test_a_reference_that_nothing_beats_is_refused(benchmark: Benchmark) -> None:
    with pytest.raises(UserError, match=r"no row .* is better than the reference \(99.0, 7.0\)"):
        _ = replace(benchmark, reference=(99.0, 7.0)).volume


def exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    code = ended.value.code
    assert isinstance(code, int)
    return code


def command(csv_file: Path, *more: str) -> list[str]:
    line = [
        "bench",
        "controllers",
        "--table",
        str(csv_file),
        "--choices",
        "a,b,op",
        "--maximize",
        "acc",
    ]
    return [*line, "--minimize", "macs", "--evaluations", "5,10", "--seeds", "2", *more]


def test_the_command_prints_json(csv_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([*command(csv_file), "--controllers", "random,local", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["controllers"]
    assert list(found) == ["random", "local"]
    assert set(found["random"]) == {"hypervolume", "front_found", "ask_ms"}
    after = found["random"]["hypervolume"]["10"]
    assert len(after["seeds"]) == 2
    assert after["mean"] == pytest.approx(np.mean(after["seeds"]))


def test_the_command_prints_a_table_and_draws_a_page(
    csv_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "bench.html"
    assert exit_code([*command(csv_file), "--controllers", "random", "--out", str(page)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split("\t") == ["controller", "after 5", "after 10", "front found", "ask"]
    assert lines[1].startswith("random\t0.")
    assert "Hypervolume over evaluations" in page.read_text()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--reference", "1"], r"has 1 values for 2 objectives: acc, macs"),
        (["--reference", "low,max"], r"'low' of 'acc' is not a number"),
        (["--reference", "nan,nan"], r"'nan' of 'acc' is not a number"),
        (["--limit", "macs=inf"], r"limit 'macs=inf' has no number"),
        (["--known", "flops"], r"no column of numbers 'flops'"),
        (["--limit", "macs"], r"limit 'macs' has no number"),
        (["--evaluations", "many"], r"'many' is not a list of positive integers"),
        (["--evaluations", "9" * 30], r"is not a list of positive integers up to 1000000"),
        (["--evaluations", "0"], r"'0' is not a list of positive integers"),
        (["--controllers", "randm"], r"unknown controller 'randm'"),
        (["--maximize", "acc,acc"], r"each metric only once"),
    ],
)
def test_wrong_use_is_one_message(
    csv_file: Path, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert exit_code([*command(csv_file), *more]) == 2
    assert re.search(message, capsys.readouterr().err.replace("\n", " "))


def test_an_infinite_cell_is_named_where_it_is_used(
    csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    csv_file.write_text(csv_file.read_text().replace(",2,0.5", ",inf,0.5", 1))
    assert exit_code(command(csv_file)) == 2
    assert "line 11: 'macs' is infinite" in capsys.readouterr().err


def test_a_bench_without_objectives_is_refused(
    csv_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_code(["bench", "controllers", "--table", str(csv_file), "--choices", "a,b,op"]) == 2
    assert "At least one is needed" in capsys.readouterr().err
