"""pareto.csv, report.md and the terminal table."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pandas as pd
import pytest

from nas.cli.console import print_front
from reports import front_table, load_run, wilson
from reports.markdown import markdown
from reports.page import render
from reports.tables import pareto_csv

NewRun = Callable[..., Path]
PROMISED = ["key", "macs", "params", "accuracy_search", "accuracy_test", "accuracy_test_fp32"]
PROMISED += ["latency_ms", "latency_ms_fp32", "latency_predicted_ms"]
PROMISED += ["size_bytes", "size_bytes_fp32"]


def read_csv(folder: Path) -> pd.DataFrame:
    return pd.read_csv(StringIO(pareto_csv(load_run(folder))), dtype={"key": str})


def test_the_csv_holds_the_numbers_of_the_cards(new_run: NewRun) -> None:
    folder = new_run()
    table = read_csv(folder)
    assert set(PROMISED) <= set(table.columns)
    assert len(table) == 13
    for row in table.to_dict("records"):
        card = json.loads((folder / row["folder"] / "card.json").read_text())
        file = card["files"]["model.onnx"]
        search = file["accuracy"]["search"]
        assert (row["macs"], row["params"]) == (card["macs"], card["params"])
        assert row["bit_ops"] == card["bit_ops"]
        assert row["size_bytes"] == file["bytes"]
        assert row["latency_ms"] == file["latency"]["median_ms"]
        assert row["latency_predicted_ms"] == file["latency_predicted_ms"]
        assert row["accuracy_search"] == search["fraction"]
        assert row["accuracy_test"] == file["accuracy"]["test"]["fraction"]
        bounds = (row["accuracy_search_low"], row["accuracy_search_high"])
        assert bounds == pytest.approx(wilson(search["correct"], search["total"]))


def test_rows_of_the_csv_say_what_they_are(new_run: NewRun) -> None:
    table = read_csv(new_run())
    assert table["role"].tolist() == ["front"] * 8 + ["reference"] * 5
    names = ["largest fp32", "largest int8", "random 1", "random 2", "random 3"]
    assert table["name"].tolist()[8:] == names
    assert table["is_knee"].sum() == 1


def test_references_and_twins_keep_their_names_on_the_front(new_run: NewRun) -> None:
    folder = new_run(front=2)
    front = json.loads((folder / "front.json").read_text())
    key, own = front["references"][3]["key"], front["members"][0]
    (folder / "references" / key).rename(folder / "front" / key)
    front["members"].append(key)
    (folder / "front.json").write_text(json.dumps(front | {"failure": "not really"}))
    card = folder / "front" / own / "card.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"twin_of": "3f2a"}))
    table = read_csv(folder).set_index("key")
    assert table.loc[key, ["role", "name"]].tolist() == ["front", "front member, random 2"]
    assert len(table) == 2 + 5
    roles = {row[1]: row[0] for row in front_table(folder)[1]}
    assert (roles[own], roles[key]) == ("front, fp32 of 3f2a", "front, random 2")
    assert "Failed: not really" in markdown(load_run(folder))


def test_a_reference_beside_the_front_may_be_over_a_limit(new_run: NewRun) -> None:
    folder = new_run()
    table = read_csv(folder).set_index("name")["over_limits"]
    assert table["largest fp32"] == "1.2ms"
    assert pd.isna(table["random 2"])
    assert "largest fp32, over the limit" in [row[0] for row in front_table(folder)[1]]


def test_a_fine_tuned_member_says_what_it_was(new_run: NewRun) -> None:
    folder = new_run(extras=True)
    table = read_csv(folder)
    (source,) = table["finetuned_from"].dropna()
    assert source in table["key"].tolist()
    roles = [row[0] for row in front_table(folder)[1]]
    assert f"front, fine-tuned from {source}" in roles


def test_who_was_not_trained_further_beside_members_that_were_says_so(new_run: NewRun) -> None:
    roles = [row[0] for row in front_table(new_run(extras=True))[1]]
    assert "random 2, not trained further" in roles
    assert "largest fp32, not trained further, over the limit" in roles
    assert all(("fine-tuned" in role) != ("not trained further" in role) for role in roles)
    page = render(load_run(new_run(extras=True)))
    assert page.count("not trained further</li>") == 3, "the legend's two largest, and random"
    assert "not trained further" not in render(load_run(new_run()))


def test_a_narrow_terminal_gets_six_columns_uncut(
    new_run: NewRun, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = new_run()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("LINES", "40")
    for width, columns in (("80", 6), ("400", 15)):
        monkeypatch.setenv("COLUMNS", width)
        print_front(folder)
        lines = capsys.readouterr().out.splitlines()
        assert lines[1].count("\u2503") == columns + 1
        assert max(map(len, lines)) <= int(width)
        assert "\u2026" not in "".join(lines)
        assert all(member.key in "".join(lines) for member in load_run(folder).front)


def test_an_all_fp32_network_repeats_its_own_numbers(new_run: NewRun) -> None:
    table = read_csv(new_run(precision="fp32"))
    assert (table["accuracy_test_fp32"] == table["accuracy_test"]).all()
    assert (table["latency_ms_fp32"] == table["latency_ms"]).all()
    assert (table["size_bytes_fp32"] == table["size_bytes"]).all()


def test_a_missing_number_is_an_empty_field_and_leaves_integers_whole(new_run: NewRun) -> None:
    folder = new_run()
    key = load_run(folder).front[1].key
    path = folder / "front" / key / "card.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"macs": None}))
    header, first, second = pareto_csv(load_run(folder)).splitlines()[:3]
    column = header.split(",").index("macs")
    assert second.split(",")[column] == ""
    assert first.split(",")[column].isdigit()


def test_no_member_still_gives_a_csv_with_its_header(new_run: NewRun) -> None:
    table = read_csv(new_run(trials=0, front=0))
    assert len(table) == 0
    assert set(PROMISED) <= set(table.columns)


def test_the_terminal_table_is_rectangular_text(new_run: NewRun) -> None:
    header, rows = front_table(new_run())
    assert len(rows) == 13
    assert all(len(row) == len(header) for row in rows)
    assert all(isinstance(cell, str) and cell for row in rows for cell in row)
    assert rows[4][0] == "front, knee"


def test_the_same_numbers_stand_in_markdown_and_terminal(new_run: NewRun) -> None:
    folder = new_run()
    report = markdown(load_run(folder))
    for row in front_table(folder)[1]:
        assert f"| {' | '.join(row)} |" in report


def test_the_report_says_that_classes_count_alike_in_what_ranks(new_run: NewRun) -> None:
    run = load_run(new_run())
    said = "ranked by a log-loss in which classes count alike"
    assert said not in markdown(run) + render(run)
    balanced = replace(run, plan={**run.plan, "balanced_loss": True})
    assert said in markdown(balanced)
    assert said in render(balanced)


def test_markdown_takes_no_marks_from_files(new_run: NewRun) -> None:
    folder = new_run(trials=5, front=1, data="a|b <script>*x*</script>\n# _big_ `c`")
    report = markdown(load_run(folder))
    title = report.splitlines()[0]
    written = r"a\|b &lt;script>\*x\*&lt;/script> # \_big\_ \`c\`"
    assert title == f"# hybrid on {written}"


def test_markdown_says_what_was_not_measured(new_run: NewRun) -> None:
    folder = new_run(trials=0, front=0)
    (folder / "profile" / "profile.json").unlink()
    report = markdown(load_run(folder))
    assert "0 networks on the front. 0 trials." in report
    assert "No network was exported yet." in report
    assert "latency prediction, networks held out: not measured" in report
    assert "rank fidelity of inherited accuracy: not measured" in report
