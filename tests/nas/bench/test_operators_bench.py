"""`nas bench operators`: who loses to whom, a whole small tournament that is stopped, and wrong use."""

import json
import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from nas.bench import tournament
from nas.bench.entrants import Ends, entrants_of, space_of, uniform
from nas.bench.standings import Standing, Timed, ranked
from nas.bench.tournament import said_of_fitting
from nas.cli.app import main
from search_spaces import FULL_PRECISION, UserError, declaration, signature_cost, task_of
from search_spaces.operators import OPERATORS
from tests.commands import exit_code
from tests.small_run import stopped

ENDS = Ends(resolution=16, channels=1, num_classes=10)
SHOWN = task_of("classification").shown


def standing(name: str, alone: tuple[float, ...], **latency_ms: float) -> Standing:
    timed = [
        Timed(name=name, side=int(side[2:]), precision=p, macs=1, params=1, latency_ms=ms)
        for side, ms in latency_ms.items()
        for p in ("fp32", "int8")
    ]
    return Standing(name=name, alone=alone, shared=0.5, timed=tuple(timed))


def test_who_is_worse_and_slower_at_every_size_loses() -> None:
    rows = [
        standing("slow", (0.80, 0.82), at32=2.0, at96=9.0),
        standing("good", (0.90, 0.92), at32=1.0, at96=8.0),
        standing("fast on small images", (0.80, 0.82), at32=0.9, at96=9.0),
        standing("as good but for chance", (0.90, 0.91), at32=1.1, at96=8.1),
    ]
    found = {row.name: row.beaten_by for row in ranked(rows, SHOWN).rows}
    assert next(iter(found)) == "good"
    assert found == {
        "good": (),
        "as good but for chance": (),
        "slow": ("good", "as good but for chance"),
        "fast on small images": (),
    }


def test_of_one_training_each_nobody_is_said_to_lose() -> None:
    rows = [standing("slow", (0.8,), at32=2.0), standing("good", (0.9,), at32=1.0)]
    header, cells = ranked(rows, SHOWN).table()
    assert [row[header.index("loses to")] for row in cells] == ["-", "-"]


def test_of_many_that_an_operator_loses_to_the_best_are_printed() -> None:
    rows = [standing(f"good{i}", (0.9 - 0.01 * i,) * 2, at32=1.0) for i in range(9)]
    header, cells = ranked(rows, SHOWN).table()
    assert cells[0][header.index("loses to")] == ""
    assert cells[8][header.index("loses to")] == "good0, good1, good2 and 5 more"


def test_networks_differ_in_the_operator_alone_and_are_in_the_shared_space() -> None:
    names = ("basic:density=0.5:stem=resnet-d", "window:num_heads=4", "convnext")
    entrants = entrants_of(names, ENDS)
    space = space_of(entrants, ENDS)
    for entrant in entrants:
        alone, shared = entrant.slots(ENDS), space.slots(uniform(space, entrant))
        assert [slot.signature for slot in alone] == [slot.signature for slot in shared]
        operators = {slot.signature.operator for slot in alone} - {"stem", "downsample", "head"}
        assert operators == {entrant.operator, *entrant.trunk.values()}
        shipped = entrant.slots(ENDS, "int8")
        assert {slot.signature.precision for slot in shipped} == {"int8"}
        macs = [sum(signature_cost(s.signature).macs for s in slots) for slots in (alone, shipped)]
        assert macs[0] == macs[1] > 0
    assert entrants[1].options["num_heads"] == 4
    assert alone[0].signature.precision == FULL_PRECISION


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["convnxt"], "Did you mean 'convnext'?"),
        (["convnext:kernel=3"], "Did you mean 'kernel_size'?"),
        (["convnext:kernel_size"], "has no value"),
        (["convnext:=3"], "has no value"),
        (["convnext", "convnext"], "are the same network"),
        (["convnext:kernel_size=7", "convnext"], "are the same network"),
        (["halo:halo=3:head=head", "halo"], "are the same network"),
        (["convnext:kernel_size=3:kernel_size=5"], "has two values of 'kernel_size'"),
        (["convnext:kernel_size=[3]"], "Allowed: odd whole numbers"),
        (["basic:density=dense"], "Allowed: numbers above 0"),
        (["window:num_heads=0"], "cannot stand in the tournament's trunk"),
    ],
)
def test_who_cannot_take_part_is_said(names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        entrants_of(names, ENDS)


def test_an_option_of_any_operator_that_is_no_such_thing_is_said() -> None:
    read = {dim: name for name in OPERATORS.names() for dim in declaration(name).dims}
    for (dim, name), value in product(read.items(), ("certainly", "-1", "0.5.5", "NaN", "[1]")):
        with pytest.raises(UserError, match=f"'{name}:{dim}="):
            entrants_of([f"{name}:{dim}={value}"], ENDS)


def test_sizes_that_are_timed_are_refused_before_training() -> None:
    with pytest.raises(UserError, match="resolution 5 px is outside"):
        entrants_of(["convnext"], ENDS, replace(ENDS, resolution=5))


def command(out: Path, *more: str) -> list[str]:
    line = ["bench", "operators", "--operators", "convnext:kernel_size=3,raft", "--data", "digits"]
    return [*line, "--time", "4s", "--seeds", "2", "--sides", "16", "--out", str(out), *more]


@pytest.mark.long
def test_a_tournament_that_is_stopped_continues_to_the_same_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tournament, "PROCESSES", 1)
    out = tmp_path / "found"
    with stopped(monkeypatch, "nas.bench.tournament.write_tensors"):
        main(command(out))
    kept = {path: path.read_bytes() for path in out.glob("alone/*/*/result.json")}
    assert len(kept) == 4
    capsys.readouterr()
    assert exit_code(*command(out, "--json")) == 0
    found = json.loads(capsys.readouterr().out)
    assert {path: path.read_bytes() for path in kept} == kept
    assert [row["name"] for row in found["rows"]] == sorted(
        ("convnext:kernel_size=3", "raft"), key=lambda name: -mean_of(found, name)
    )
    for row in found["rows"]:
        assert row["mean"] == pytest.approx(sum(row["alone"]) / 2)
        assert {timed["precision"] for timed in row["timed"]} == {"fp32", "int8"}
        assert all(timed["latency_ms"] > 0 for timed in row["timed"])
    assert "Images of 16 px" in Path(found["page"]).read_text()
    before = (out / "results.json").read_bytes()
    assert exit_code(*command(out)) == 0
    assert (out / "results.json").read_bytes() == before
    assert exit_code(*command(out), "--operators", "raft,basic", "--seed", "0") == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "other settings: operators +basic, -convnext:kernel_size=3." in said
    assert exit_code(*command(out), "--seed", "1") == 2
    assert "begun with other settings: seed 0 -> 1" in " ".join(capsys.readouterr().err.split())


def mean_of(found: dict, name: str) -> float:
    return next(row["mean"] for row in found["rows"] if row["name"] == name)


def test_a_folder_of_something_else_and_wrong_sizes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("cat")
    assert exit_code(*command(tmp_path)) == 2
    assert "no tournament" in capsys.readouterr().err
    for sides in ("32,cat", "5,32", "1024", ","):
        assert exit_code(*command(tmp_path / "new", "--sides", sides)) == 2
        assert f"sides '{sides}' are not sizes" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()


def test_of_more_operators_than_fit_it_is_said_how_many_do_and_which_time_would() -> None:
    assert said_of_fitting(3, 2.0, "1m") == ""
    assert said_of_fitting(66, 2.0, "2m") == (
        "--time 2m is short for 66 operators, and will not be kept: timing their steps alone takes "
        "about 132 s. Name at most 6 with --operators, or give --time 22m"
    )
    assert said_of_fitting(2, 9.0, "1m").endswith("takes about 18 s. Give --time 3m")
