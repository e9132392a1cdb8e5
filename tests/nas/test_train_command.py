"""A supernet trained alone, and then searched with one short command."""

import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from nas.cli import app as cli
from nas.prepare.reopen import reopened
from nas.prepare.reuse import donor_space, with_inherited
from nas.prepare.trim import _trimmed
from nas.problem.fix import fixed
from nas.run.config import Config, make_config
from nas.run.directory import TRAINED_SPACE, WEIGHTS, Run, read_space
from nas.search_flow import search
from nas.system.files import make_folder, read_json, write_json
from nas.system.reporter import Silent
from nas.train import search_command, train_supernet
from search_spaces import SearchSpace, UserError, load_space
from tests.commands import exit_code as code
from tests.conftest import TOY
from tests.small_run import NOT_OF_A_SUPERNET, SmallRun, Stopped, stopped

ALONE = replace(TOY, trials=0)


@pytest.fixture(scope="module")
def supernet_run(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A supernet that was trained alone, with the profile and the plan of the small run."""
    path = tmp_path_factory.mktemp("alone") / "supernet"
    with small_run.remembering():
        train_supernet(ALONE, path, Silent())
    return path


def asked_of_search(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> tuple[Config, Path]:
    """What `nas search` would do with these arguments."""
    seen: list[tuple[Config, Path]] = []

    def asked(config: Config, out: Path, reporter: Any) -> None:
        reporter.close()
        seen.append((config, out))
        raise Stopped

    monkeypatch.setattr("nas.search_flow.search", asked)
    with pytest.raises(Stopped):
        cli.main(arguments)
    return seen[0]


def test_all_of_the_time_goes_into_the_supernet_and_nothing_is_searched(supernet_run: Path) -> None:
    assert (supernet_run / WEIGHTS).exists()
    assert read_json(supernet_run / "plan.json")["is_all"] is True
    assert not [name for name in NOT_OF_A_SUPERNET if (supernet_run / name).exists()]


def test_the_command_ends_with_the_run_and_the_next_command(
    supernet_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "a.toml"
    config.write_text(ALONE.to_toml())
    before = (supernet_run / WEIGHTS).stat().st_mtime_ns
    assert code("train", "--config", str(config), "--out", str(supernet_run)) == cli.OK
    *_, report, run, following = capsys.readouterr().out.strip().splitlines()
    assert report == f"report: {supernet_run}/report/report.html"
    assert run == f"run: {supernet_run}"
    assert following == f"next: {search_command(supernet_run, ALONE)}"
    assert (supernet_run / WEIGHTS).stat().st_mtime_ns == before, "trained already"
    assert code("train", "--config", str(config), "--out", str(supernet_run), "--json") == cli.OK
    found = json.loads(capsys.readouterr().out)
    assert found["next"] == following.removeprefix("next: ")
    assert Path(found["supernet"]).exists()
    assert found["steps"] == 30


def test_places_are_kept_as_searches_elsewhere_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Config] = []

    def keep(config: Config, *_: object) -> None:
        seen.append(config)
        raise Stopped

    monkeypatch.setattr("nas.train.train_supernet", keep)
    monkeypatch.chdir(tmp_path)
    places = ["--data-dir", "images", "--cache", "decoded", "--out", str(tmp_path / "run")]
    with pytest.raises(Stopped):
        cli.main(["train", "--data", "cifar10", *places])
    assert (seen[0].data_dir, seen[0].cache) == (f"{tmp_path}/images", f"{tmp_path}/decoded")


def test_the_printed_command_searches_the_same_data_without_naming_it(
    supernet_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = shlex.split(search_command(supernet_run, ALONE))
    assert words[0] == "nas"
    config, _ = asked_of_search(monkeypatch, words[1:])
    assert config == Config(
        **{name: getattr(ALONE, name) for name in ("space", "data", "resolution", "budget")},
        supernet=str(supernet_run),
        time="10m",
    )


def test_a_search_of_it_has_the_trials_of_a_search_that_trained_it_itself(
    supernet_run: Path, small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(small_run.config, supernet=str(supernet_run))
    with small_run.remembering(), stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(config, tmp_path / "search", Silent())
    names = ("trials.jsonl", WEIGHTS, "space.json")
    ours, theirs = (
        [(run / name).read_bytes() for name in names]
        for run in (tmp_path / "search", small_run.path)
    )
    assert ours == theirs


@pytest.mark.long
def test_a_search_of_a_part_scores_what_the_whole_supernet_does(
    supernet_run: Path, small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Members that must be pruned among them: the supernet was trained with others, too."""
    (whole,) = {c.options for c in read_space(supernet_run).choices if c.name == "stage1.sparsity"}
    fix = (f"stage1.sparsity={whole[-1]}", "*.precision=fp32")
    config = replace(small_run.config, supernet=str(supernet_run), fix=fix, trials=2)
    with small_run.remembering(), stopped(monkeypatch, "nas.search_flow.train_finalists"):
        search(config, tmp_path / "part", Silent())
    part = read_space(tmp_path / "part")
    assert part.choice("stage1.sparsity").options == whole[-1:]
    weights = [(run / WEIGHTS).read_bytes() for run in (tmp_path / "part", supernet_run)]
    assert weights[0] == weights[1]
    trained = reopened(supernet_run, Silent(), needs_front=False)
    space = trained.problem.space
    for trial in Run.open(tmp_path / "part", config).trials(part):
        options = {**trial.candidate.arch, **trial.candidate.policy}
        assert trained.scorer(space.candidate(space.encode(options))).metrics == trial.metrics
    with pytest.raises(UserError, match="does not offer '0.9'"):
        search(replace(config, fix=("*.sparsity=0.9",)), tmp_path / "none", Silent())
    assert not (tmp_path / "none").exists()


def test_what_is_given_is_not_inherited_and_contradictions_are_refused(
    supernet_run: Path, tmp_path: Path
) -> None:
    given = {"supernet": str(supernet_run), "precision": ("fp32",), "seed": 3}
    found = with_inherited(given)
    assert found.items() >= given.items()
    assert found["data"] == "digits"
    assert found["data_seed"] == 0, "the images that the supernet was trained on"
    config = make_config(with_inherited({**given, "data_seed": 5}))
    with pytest.raises(UserError, match="was trained on other images than data 'digits'"):
        search(config, tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def test_a_search_that_has_begun_needs_its_donor_no_more(tmp_path: Path) -> None:
    run, donor = tmp_path / "run", tmp_path / "donor"
    for path, config in (
        (donor, replace(TOY, precision=("int8",))),
        (run, replace(TOY, supernet=str(donor), data_seed=4, precision=("fp32",))),
    ):
        path.mkdir()
        (path / "config.toml").write_text(config.to_toml())
    given = {"supernet": str(donor)}
    assert with_inherited(given)["precision"] == ("int8",)
    (donor / "config.toml").unlink()
    assert with_inherited(given) == given
    found = with_inherited(given, run)
    assert (found["precision"], found["data_seed"], found["data"]) == (("fp32",), 4, "digits")


def test_a_search_in_the_directory_of_a_supernet_is_told_the_right_command(
    supernet_run: Path,
) -> None:
    with pytest.raises(UserError) as error:
        search(ALONE, supernet_run, Silent())
    assert "is one of `nas train`" in str(error.value)
    assert str(error.value).endswith(search_command(supernet_run, ALONE))
    assert not (supernet_run / "search_plan.json").exists()


def test_training_in_the_directory_of_a_search_is_refused(finished_run: Path) -> None:
    with pytest.raises(UserError, match="is a search, which trains its supernet in a part"):
        train_supernet(TOY, finished_run, Silent())


def test_there_is_nothing_to_train_with_a_supernet_given(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="supernet is 'x', and `nas train` trains one"):
        train_supernet(replace(ALONE, supernet="x"), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


def begun_run(path: Path, config: Config, space: SearchSpace) -> str:
    """What another search reads of the run that has a supernet."""
    make_folder(path)
    (path / "config.toml").write_text(config.to_toml())
    write_json(path / "space.json", space.to_json())
    return str(path)


def test_what_fix_left_out_of_a_training_stays_out_and_what_it_left_out_of_a_search_does_not(
    tmp_path: Path,
) -> None:
    toy = load_space("toy", resolution=16, channels=1, num_classes=10)
    whole = toy.with_policy(("fp32", "int8"), (0, 0.5))
    texts = ("stage*.sparsity=0", "stage1.depth=1")
    part = fixed(whole, texts)
    trained = begun_run(tmp_path / "trained", replace(ALONE, fix=texts), part)
    assert donor_space(replace(TOY, supernet=trained), whole) == part
    searching = replace(TOY, supernet=trained, fix=("stage*.precision=int8",))
    searched = begun_run(tmp_path / "searched", searching, part)
    assert donor_space(replace(TOY, supernet=searched), whole) == part
    other = toy.with_policy(("fp32",), (0.25, 0.5))
    with pytest.raises(UserError, match=r"was trained with --fix stage\*.sparsity=0 .*offer '0'"):
        donor_space(replace(TOY, supernet=trained), other)


def test_what_training_gave_up_of_formats_stays_out_unless_others_are_asked_for(
    tmp_path: Path,
) -> None:
    toy = load_space("toy", resolution=16, channels=1, num_classes=10)
    whole = toy.with_policy(("fp32", "int8"), (0, 0.5))
    left = whole.restricted({"stage1.precision": ("int8",), "stage2.sparsity": (0,)})
    run = begun_run(tmp_path / "run", ALONE, whole)
    write_json(tmp_path / "run" / TRAINED_SPACE, left.to_json())
    (tmp_path / "run" / WEIGHTS).touch()
    config = replace(TOY, supernet=run)
    lost = {"stage1.precision": ["fp32"], "stage2.sparsity": [0.5]}
    assert _trimmed(config, whole, [], Mock()) == (left, lost)
    asked, others = replace(config, precision=("fp32",)), toy.with_policy(("fp32",), (0, 0.5))
    assert _trimmed(asked, others, [], Mock()) == (others, {})


def test_another_training_method_than_the_supernets_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    donor, run = tmp_path / "donor", tmp_path / "run"
    donor.mkdir()
    (donor / "config.toml").write_text(replace(ALONE, method="sandwich").to_toml())
    assert with_inherited({"supernet": str(donor)})["method"] == "sandwich"
    given = ("search", "--supernet", donor, "--out", run)
    assert code(*given, "--method", "sortednet") == cli.WRONG_USE
    said = " ".join(capsys.readouterr().err.split())
    assert f"'sortednet' is asked for, and supernet '{donor}' was trained by 'sandwich'" in said
    assert "Leave out --method, or leave out --supernet" in said
    assert not run.exists()
