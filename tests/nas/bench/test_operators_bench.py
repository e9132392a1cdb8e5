"""`nas bench operators`: who loses to whom, a whole small tournament that is stopped, and wrong use."""

import json
import re
from pathlib import Path

import pytest

from nas.bench import tournament
from nas.bench.entrants import Ends, entrants_of, space_of, uniform
from nas.bench.standings import Standing, Timed, ranked
from nas.cli.app import main
from search_spaces import FULL_PRECISION, UserError, signature_cost, task_of
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
        (["convnext", "convnext"], "convnext are named twice"),
        (["window:num_heads=0"], "cannot stand in the tournament's trunk"),
    ],
)
def test_who_cannot_take_part_is_said(names: list[str], message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        entrants_of(names, ENDS)


def command(out: Path, *more: str) -> list[str]:
    line = ["bench", "operators", "--operators", "convnext:kernel_size=3,raft", "--data", "digits"]
    return [*line, "--time", "4s", "--seeds", "2", "--sides", "16", "--out", str(out), *more]


def exit_code(arguments: list[str]) -> int:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert isinstance(ended.value.code, int)
    return ended.value.code


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
    assert exit_code(command(out, "--json")) == 0
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
    assert exit_code(command(out)) == 0
    assert (out / "results.json").read_bytes() == before
    assert exit_code([*command(out), "--seed", "1"]) == 2
    assert "begun with other settings: seed 0 -> 1" in " ".join(capsys.readouterr().err.split())


def mean_of(found: dict, name: str) -> float:
    return next(row["mean"] for row in found["rows"] if row["name"] == name)


def test_a_folder_of_something_else_and_wrong_sizes_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "letter.txt").write_text("cat")
    assert exit_code(command(tmp_path)) == 2
    assert "no tournament" in capsys.readouterr().err
    assert exit_code(command(tmp_path / "new", "--sides", "32,cat")) == 2
    assert "sides '32,cat' are not sizes" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
