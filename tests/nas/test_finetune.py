"""Networks trained further: as part of a search, and added to its front afterwards."""

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import nas
from compress.quantize._weights import largest_weight
from nas import finetune as finetuning
from nas.data import Split
from nas.finalists.entry import TWIN, trained_network
from nas.finalists.finetuning import Finetuning, make_finetuning
from nas.finalists.images import unseen
from nas.finalists.order import finalist_order
from nas.finalists.recipe import Recipe
from nas.finalists.shares import MIN_STEPS, MOST_ORDERED, divided, pace_within, soonest_order
from nas.finalists.teacher import OnnxTeacher
from nas.finalists.train import (
    TIMED_PER_FINALIST,
    FinalTraining,
    _chosen,
    _misses_limit,
    _seconds_left,
    train_finalists,
)
from nas.finetune import finetune
from nas.front.card import read_card
from nas.prepare.phases import PhasePlan
from nas.prepare.reopen import Trained, reopened
from nas.problem.problem import Limit
from nas.problem.trial import Trial
from nas.run.config import Config
from nas.run.directory import read_config_of, read_front
from nas.search_flow import search
from nas.standalone.train import NETWORK
from nas.system.files import write_json
from nas.system.reporter import Silent
from search_spaces import Candidate, UserError
from supernets import train as training
from supernets.compiled import IF_IT_PAYS
from supernets.plan import TrainPlan
from supernets.train import DivergedError
from tests.conftest import time_in_two_processes
from tests.small_run import train_one_by_one

RECIPE = Recipe(epochs=0.5)

pytestmark = pytest.mark.usefixtures("two_timing_processes")


def files(run: Path) -> dict[str, bytes]:
    """What must not differ after an interruption: all but clocks, locks and timings."""
    volatile = ("events.jsonl", "timings", "card.json", "front.json", "report")
    return {
        str(p.relative_to(run)): p.read_bytes()
        for p in sorted(run.rglob("*"))
        if p.is_file()
        and not any(part in volatile for part in p.relative_to(run).parts)
        and p.name != "train_log.jsonl"
        and not p.name.startswith(".lock")
    }


def member(run: Path) -> str:
    own = (key for key in read_front(run)["members"] if not key.endswith(TWIN))
    return str(next(own).partition("-")[0])


def cards(run: Path) -> dict[str, dict[str, Any]]:
    """Of all that was measured for the front; not of twins, which come and go."""
    found = {p.parent.name: read_card(p) for p in run.glob("[fr]*/*/card.json")}
    return {key: card for key, card in found.items() if not key.endswith(TWIN)}


@pytest.fixture(scope="module")
def tuned(
    finished_run: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The run with a member trained further, and what is told of it. Do not change it."""
    run = Path(shutil.copytree(finished_run, tmp_path_factory.mktemp("tuned") / "run"))
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        found = finetune(run, member(run)[:8], RECIPE, Silent())
    return run, found


@pytest.fixture
def own_tuned(tuned: tuple[Path, dict[str, Any]], tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    """A copy of it, to be changed."""
    run, found = tuned
    return Path(shutil.copytree(run, tmp_path / "tuned")), found


def test_a_search_trains_its_finalists_further_in_its_time(finished_run: Path) -> None:
    plan = json.loads((finished_run / "search_plan.json").read_text())
    assert plan["finetune_s"] > 0
    tuned = sorted((finished_run / "finetunes").iterdir())
    assert len(tuned) == plan["finalists"]
    recorded = json.loads((finished_run / "finetune_plan.json").read_text())
    assert len(recorded["finalists"]) == len(tuned)
    assert set(recorded["finalists"]) <= set(recorded["seconds_per_step"])
    for folder in tuned:
        assert json.loads((folder / "plan.json").read_text())["steps"] >= 10
    events = [json.loads(line) for line in (finished_run / "events.jsonl").read_text().splitlines()]
    assert "finetune" in {event["phase"] for event in events}


def test_a_finalist_keeps_whichever_weights_answer_better(finished_run: Path) -> None:
    trials = [json.loads(x) for x in (finished_run / "trials.jsonl").read_text().splitlines()]
    inherited = {t["key"]: t["metrics"]["log_loss"] for t in trials}
    seen = 0
    for folder in (finished_run / "finetunes").iterdir():
        origin = folder.name.partition("-")[0]
        score = json.loads((folder / "score.json").read_text())["log_loss"]
        is_better = score < inherited[origin]
        found = cards(finished_run)
        assert (folder.name in found) == is_better
        assert (origin in found) == (not is_better)
        seen += 1
    assert seen == 2


def test_a_network_is_trained_further_and_added_as_files_that_were_measured(
    tuned: tuple[Path, dict[str, Any]], finished_run: Path
) -> None:
    run, found = tuned
    before, after, front = cards(finished_run), cards(run), read_front(run)
    assert found["on_front"] == (found["key"] in front["members"])
    assert found["on_front"] or found["reason"]
    card = after[found["key"]]
    assert card["finetuned"]["from"] == member(finished_run)
    assert card["finetuned"]["teacher"] == "none"
    assert (
        card["finetuned"]["steps"]
        == json.loads((run / "finetunes" / found["key"] / "plan.json").read_text())["steps"]
    )
    assert after.keys() == before.keys() | {found["key"]}
    measured = {c["files"]["model.onnx"]["latency"]["measured_at"] for c in after.values()}
    assert len(measured) == 1, "all are timed together again"
    assert measured.isdisjoint(
        c["files"]["model.onnx"]["latency"]["measured_at"] for c in before.values()
    )
    for key in front["members"]:
        network = nas.load(run / "front" / key / "model.safetensors")
        assert torch.isfinite(network(torch.zeros(2, 1, 16, 16))).all()


def test_the_weights_of_a_tuned_network_are_its_own(tuned: tuple[Path, dict[str, Any]]) -> None:
    run, found = tuned
    trained = reopened(run, Silent())
    candidate = finetuning.named(trained, found["key"].partition("-")[0])
    shared = trained.scorer.compressed(candidate).network.state_dict()
    kind = "front" if found["on_front"] else "finalists"
    own = nas.load(run / kind / found["key"] / "model.safetensors").state_dict()
    assert shared.keys() == own.keys()
    assert not all(torch.equal(shared[name], own[name]) for name in shared)


def test_grids_are_learnt_and_what_is_shipped_has_them(own_run: Path) -> None:
    recipe = replace(RECIPE, batch_norm="frozen", aware_share=0.5)
    reopening = reopened(own_run, Silent())
    space = reopening.problem.space
    row = space.in_precision(
        np.array([finetuning.named(reopening, member(own_run)).encoding]), "int8"
    )
    quantized = space.candidate(row[0].tolist())
    made = make_finetuning(reopening, recipe, Silent())
    entry = made(quantized)
    assert entry.finetuned is not None
    facts = entry.finetuned.facts
    assert 0 < facts["aware_steps"] < facts["steps"]
    assert facts["batch_norm"] == "frozen"
    network, learnt = trained_network(space, entry)
    assert learnt is not None
    assert learnt.grids
    deployed = reopening.scorer.compressed(quantized, network, learnt).network.state_dict()
    most = largest_weight(needs_reduced_range=reopening.scorer.needs_reduced_range)
    for name, tensor in learnt.grids.items():
        scale = deployed.get(f"{name.removesuffix('largest_weight')}weight_scale")
        torch.testing.assert_close(deployed[name] if scale is None else scale * most, tensor)
    assert made(quantized) == entry, "what is finished is read back"


def test_a_network_without_grids_has_none_to_learn(own_run: Path) -> None:
    (key,) = (r["key"] for r in read_front(own_run)["references"] if r["name"] == "largest fp32")
    before = files(own_run)
    with pytest.raises(UserError, match="is in fp32, without grids that could be learnt"):
        finetune(own_run, key, replace(RECIPE, aware_share=0.5), Silent())
    assert files(own_run) == before


def test_the_same_command_again_changes_nothing(own_tuned: tuple[Path, dict[str, Any]]) -> None:
    run, first = own_tuned
    front, before = read_front(run), files(run)
    assert finetune(run, first["key"].partition("-")[0], RECIPE, Silent()) == first
    assert files(run) == before
    assert read_front(run) == front


def test_the_search_itself_repeated_keeps_what_was_added(
    own_tuned: tuple[Path, dict[str, Any]],
) -> None:
    run, _ = own_tuned
    front = read_front(run)
    search(read_config_of(run), run, Silent())
    assert read_front(run) == front


class KilledError(Exception):
    """Stands for kill -9."""


def test_a_killed_fine_tuning_continues_to_the_very_same_weights(
    own_run: Path, tuned: tuple[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, whole = tuned
    monkeypatch.setattr(training, "CHECKPOINT_SHARE", 1e12)
    monkeypatch.setattr(
        finetuning, "make_finetuning",
        lambda trained, recipe, reporter: make_finetuning(
            replace_checkpoints(trained), recipe, Dies(at=4)
        ),
    )  # fmt: skip
    with pytest.raises(KilledError):
        finetune(own_run, member(own_run), RECIPE, Silent())
    monkeypatch.setattr(finetuning, "make_finetuning", make_finetuning)
    assert not (own_run / "finetunes" / whole["key"] / NETWORK).exists()
    assert (own_run / "finetunes" / whole["key"] / "train_state/state.safetensors").exists()
    again = finetune(own_run, member(own_run), RECIPE, Silent())
    assert again["key"] == whole["key"]
    ours, theirs = (
        (path / "finetunes" / whole["key"] / NETWORK).read_bytes() for path in (own_run, other)
    )
    assert ours == theirs


def replace_checkpoints(trained: Any) -> Any:
    return replace(trained, train_plan=replace(trained.train_plan, checkpoint_s=0.0))


class Dies:
    """A reporter in which a kill happens."""

    def __init__(self, *, at: int) -> None:
        self.at = at

    def phase(self, name: str, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass

    def advance(self, done: int, of: int, text: str = "") -> None:
        if done == self.at:
            raise KilledError


def steps_of(run: Path) -> dict[str, int]:
    return {
        p.parent.name: json.loads(p.read_text())["steps"] for p in run.glob("finetunes/*/plan.json")
    }


def test_a_kill_between_two_finalists_gives_neither_more_time(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(own_run / "finetunes")
    (own_run / "finetune_plan.json").unlink()
    trained = reopened(own_run, Silent())
    trained = replace(trained, phases=replace(trained.phases, finetune_s=0.4))
    trials = trained.run.trials(trained.problem.space)
    for module in ("train", "shares"):
        clock = SimpleNamespace(monotonic=lambda: 5.0)
        monkeypatch.setattr(f"nas.finalists.{module}.time", clock)
    monkeypatch.setattr("nas.finalists.train.train_beside", train_one_by_one)
    monkeypatch.setattr(Finetuning, "fastest_plan", lambda _, c, plans: (plans[0], 0.01))
    with pytest.raises(KilledError):
        train_finalists(trained, trials, Dies(at=50))  # percent of all steps: the first one's last
    assert list(steps_of(own_run).values()) == [20]
    train_finalists(trained, trials, Silent())
    assert list(steps_of(own_run).values()) == [20, 20]
    before = files(own_run)
    train_finalists(trained, trials, Silent())
    assert files(own_run) == before


def test_after_a_kill_the_slower_finalist_gets_no_more_time(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(own_run / "finetunes")
    (own_run / "finetune_plan.json").unlink()
    trained = reopened(own_run, Silent())
    trained = replace(trained, phases=replace(trained.phases, finetune_s=0.4))
    trials = trained.run.trials(trained.problem.space)
    fast = finalist_order(trained.problem, trials)[0].candidate.key
    for module in ("train", "shares"):
        clock = SimpleNamespace(monotonic=lambda: 5.0)
        monkeypatch.setattr(f"nas.finalists.{module}.time", clock)
    monkeypatch.setattr(
        Finetuning,
        "fastest_plan",
        lambda _, c, plans: (plans[0], 0.005 if c.key == fast else 0.01),
    )
    monkeypatch.setattr("nas.finalists.train.train_beside", train_one_by_one)
    with pytest.raises(KilledError):
        train_finalists(trained, trials, Dies(at=50))
    train_finalists(trained, trials, Silent())
    assert sorted(steps_of(own_run).values()) == [20, 40], "0.2 seconds each"


def test_whichever_network_is_asked_for_again_all_latencies_stay_of_one_call(
    own_tuned: tuple[Path, dict[str, Any]],
) -> None:
    run, found = own_tuned
    first = found["key"].partition("-")[0]
    other = next(key for key in cards(run) if not key.startswith(first))
    finetune(run, other.partition("-")[0], RECIPE, Silent())
    before = cards(run)
    assert len({c["files"]["model.onnx"]["latency"]["measured_at"] for c in before.values()}) == 1
    finetune(run, first, RECIPE, Silent())
    assert cards(run) == before


@pytest.mark.parametrize("teacher", ["largest", "FILE"])
def test_a_network_may_learn_from_a_teacher(own_run: Path, teacher: str) -> None:
    if teacher == "FILE":
        teacher = str(next(own_run.glob("*/*/model.onnx")))
    found = finetune(own_run, member(own_run), replace(RECIPE, teacher=teacher), Silent())
    card = cards(own_run)[found["key"]]
    assert card["finetuned"]["teacher"] == teacher
    assert card["finetuned"]["epochs"] == RECIPE.epochs
    alone = RECIPE.key(reopened(own_run, Silent()).problem.space.candidate(card["encoding"]))
    assert found["key"] != alone


def test_images_that_a_network_is_judged_on_do_not_train_it(finished_run: Path) -> None:
    data = reopened(finished_run, Silent()).data
    mixed = Split(
        np.concatenate([data.train.images_NCHW[:40], data.search.images_NCHW[:7]]),
        np.concatenate([data.train.labels_N[:40], data.search.labels_N[:7]]),
    )
    is_new_N = unseen(mixed, (data.search, data.test))
    assert not is_new_N[40:].any()
    assert is_new_N[:40].sum() >= 38, "a few digits may look the same"


def test_a_finalist_whose_training_diverges_keeps_its_shared_weights(
    own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(own_run / "finetunes")
    trained = reopened(own_run, Silent())
    trial = trained.run.trials(trained.problem.space)[0]

    def diverges(*_: object, **__: object) -> None:
        raise DivergedError("training diverged in step 3")

    monkeypatch.setattr("nas.standalone.train.train", diverges)
    finetuning = replace(make_finetuning(trained, Recipe(), Silent()), steps=5)
    for _ in range(2):  # the second time as recorded
        entry = finetuning.finalist(trial)
        assert entry.finetuned is None
        monkeypatch.setattr("nas.standalone.train.train", None)


def test_the_peak_rate_is_the_supernets_unless_given(own_run: Path) -> None:
    trained = reopened(own_run, Silent())
    trained = replace(trained, train_plan=replace(trained.train_plan, learning_rate=0.123))
    for given, expected in ((0.0, 0.123), (0.5, 0.5)):
        recipe = replace(RECIPE, learning_rate=given)
        assert make_finetuning(trained, recipe, Silent())._planned().learning_rate == expected


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("zzz", "no network is called so.*On its front: "),
        ("", "no network is called so|networks begin so"),
        ("TUNED", "has been trained further already. Name what it was made of"),
    ],
)
def test_a_key_that_names_no_network_is_refused_with_those_there_are(
    own_run: Path, key: str, message: str
) -> None:
    if key == "TUNED":
        key = f"{member(own_run)}-ft0000"
    before = files(own_run)
    with pytest.raises(UserError, match=message):
        finetune(own_run, key, RECIPE, Silent())
    assert files(own_run) == before


def test_a_device_that_is_not_here_is_no_damage_of_the_plan(own_run: Path) -> None:
    with pytest.raises(UserError, match="^device 'gpu' is not known"):
        finetune(own_run, read_front(own_run)["members"][0], RECIPE, Silent(), device="gpu")


def test_a_run_that_is_not_finished_is_refused(own_run: Path, tmp_path: Path) -> None:
    (own_run / "front.json").unlink()
    with pytest.raises(UserError, match="is not finished. Continue it"):
        finetune(own_run, "a", RECIPE, Silent())
    with pytest.raises(UserError, match="this is not a run directory"):
        finetune(tmp_path / "nothing", "a", RECIPE, Silent())


def test_the_teacher_may_be_a_file_and_must_fit(own_run: Path, tmp_path: Path) -> None:
    trained = reopened(own_run, Silent())
    file = next(own_run.glob("*/*/model.onnx"))
    teacher = OnnxTeacher.load(file, trained.problem.space)
    assert teacher(torch.zeros(3, 1, 16, 16)).shape == (3, 10)
    with pytest.raises(UserError, match="is not there. Give the path"):
        OnnxTeacher.load(tmp_path / "none.onnx", trained.problem.space)
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(UserError, match="does not run on two images of shape"):
        OnnxTeacher.load(tmp_path / "bad.onnx", trained.problem.space)
    other = trained.problem.space
    assert other.network is not None
    more = replace(other, network=replace(other.network, num_classes=7))
    with pytest.raises(UserError, match=r"answers in shape \(2, 10\), not \(2, 7\)"):
        OnnxTeacher.load(file, more)


def test_other_images_must_be_of_the_same_classes(own_run: Path) -> None:
    recipe = replace(RECIPE, data="digit-pairs")
    with pytest.raises(
        UserError, match=r"data 'digit-pairs' has 100 classes \(00, 01, 02, ...\) in 1 ch"
    ):
        finetune(own_run, member(own_run), recipe, Silent())


def test_recipes_that_differ_have_different_names(finished_run: Path) -> None:
    candidate = reopened(finished_run, Silent()).problem.space.candidate(
        read_card(next(finished_run.glob("f*/*/card.json")))["encoding"]
    )
    names = {
        replace(RECIPE, **change).key(candidate)
        for change in ({}, {"epochs": 1.0}, {"teacher": "largest"}, {"data": "x"})
    }
    assert len(names) == 4
    assert all(name.startswith(candidate.key) for name in names)


def chosen(
    own_run: Path,
    seconds_per_step: Callable[[Trial], float],
    *,
    plans: Sequence[TrainPlan] = (),
    misses_limit: Callable[[Trial], bool] = lambda trial: False,
    is_batch_fixed: bool = False,
) -> tuple[dict[str, Any], list[Trial]]:
    """finetune_plan.json of two finalists and 3 seconds of training, and all trials in rank.

    Args:
        own_run: Has the trials.
        seconds_per_step: With the smallest batch; twice as many images take 1.5 times as long.
        plans: That differ in their formats; bf16 takes 0.4 of the time for large networks, and 1.1
            of it for small ones.
        misses_limit: Whether a trial is too slow for a limit.
        is_batch_fixed: As if the user had set it.
    """
    trained = reopened(own_run, Silent())
    ranked = finalist_order(trained.problem, trained.run.trials(trained.problem.space))
    seconds = {trial.candidate.key: seconds_per_step(trial) for trial in ranked}
    large = {t.candidate.key for t in sorted(ranked, key=lambda t: t.predicted["macs"])[2:]}
    phases = replace(trained.phases, finalists=2, finetune_s=3.0, least_steps=100)

    def step_s(candidate: Candidate, plan: TrainPlan) -> float:
        of_format = 1.0 if plan.precision == "fp32" else 0.4 if candidate.key in large else 1.1
        of_batch = (1 + plan.batch_size / TrainPlan.batch_size) / 2
        return seconds[candidate.key] * of_batch * of_format

    def fastest_plan(candidate: Candidate, plans: Sequence[TrainPlan]) -> tuple[TrainPlan, float]:
        found_s = {plan: step_s(candidate, plan) for plan in plans}
        return min(found_s.items(), key=lambda item: item[1])

    timed = SimpleNamespace(
        plan=trained.train_plan,
        images=SimpleNamespace(labels_N=range(10_000)),
        fastest_plan=fastest_plan,
        compiled=lambda candidate, plan, seconds, step_s: (plan, step_s),
    )
    plan = _chosen(
        phases,
        ranked,
        cast(Finetuning, timed),
        plans or [trained.train_plan],
        misses_limit,
        is_batch_fixed=is_batch_fixed,
    )
    return plan, ranked


@pytest.mark.parametrize(
    ("step_s", "is_fixed", "batch_size"),
    [
        (0.0015, False, 32),  # in 3 seconds both have 1,000 steps of 32, or 667 of 64
        (0.001, False, 64),  # 1,000 of 64, or 600 of 128
        (0.001, True, 32),
    ],
)
def test_the_batch_of_finalists_grows_while_many_steps_remain(
    own_run: Path, step_s: float, is_fixed: bool, batch_size: int
) -> None:
    plan, _ = chosen(own_run, lambda trial: step_s, is_batch_fixed=is_fixed)
    assert plan["batch_size"] == batch_size
    cost = step_s * (1 + batch_size / 32) / 2
    assert plan["seconds_per_step"] == pytest.approx(dict.fromkeys(plan["finalists"], cost))


ABLE_S, UNABLE_S = 0.015, 0.016
"""Seconds per step with which 100 steps just fit into half of 3 seconds, and just do not."""


def test_the_first_finalists_are_trained_if_they_can_be(own_run: Path) -> None:
    plan, ranked = chosen(own_run, lambda trial: ABLE_S)
    assert plan["finalists"] == [trial.candidate.key for trial in ranked[:2]]
    assert plan["seconds_per_step"] == dict.fromkeys(plan["finalists"], ABLE_S)


def test_finalists_that_would_get_few_steps_are_passed_over(own_run: Path) -> None:
    macs = sorted(trial.predicted["macs"] for trial in chosen(own_run, lambda trial: 1.0)[1])
    plan, ranked = chosen(own_run, lambda t: UNABLE_S if t.predicted["macs"] > macs[1] else ABLE_S)
    small = [t.candidate.key for t in ranked if t.predicted["macs"] <= macs[1]]
    assert plan["finalists"] == small[:2]


def test_every_finalist_is_trained_in_the_format_that_is_fastest_for_it(own_run: Path) -> None:
    plans = [TrainPlan(steps=1, precision=name) for name in ("fp32", "bf16")]
    found, ranked = chosen(own_run, lambda trial: 0.001, plans=plans)
    small = {t.candidate.key for t in sorted(ranked, key=lambda t: t.predicted["macs"])[:2]}
    assert found["formats"] == {
        key: {
            "precision": "fp32" if key in small else "bf16",
            "channels_last": False,
            "compile": IF_IT_PAYS,
            "parts": 1,
        }
        for key in found["finalists"]
    }
    fastest = min(found["seconds_per_step"].values())
    assert fastest == pytest.approx(
        0.001
        * (1 + found["batch_size"] / 32)
        / 2
        * (0.4 if set(found["finalists"]) - small else 1.0)
    )


def test_what_misses_a_limit_is_neither_trained_nor_measured(own_run: Path) -> None:
    slow = {trial.candidate.key for trial in chosen(own_run, lambda trial: 1.0)[1][:2]}
    plan, ranked = chosen(
        own_run, lambda trial: ABLE_S, misses_limit=lambda trial: trial.candidate.key in slow
    )
    assert plan["too_slow"] == [trial.candidate.key for trial in ranked[:2]]
    assert plan["finalists"] == [trial.candidate.key for trial in ranked[2:4]]
    plan, _ = chosen(own_run, lambda trial: ABLE_S, misses_limit=lambda trial: True)
    assert plan["finalists"] == []
    assert len(plan["too_slow"]) == min(2 * TIMED_PER_FINALIST, len(ranked))


def test_a_network_near_the_latency_limit_is_timed_before_it_is_trained(own_run: Path) -> None:
    trained = reopened(own_run, Silent())
    trial = trained.run.trials(trained.problem.space)[0]
    for share, max_ms, expected in ((0.5, 1e-6, False), (1.0, 1e-6, True), (1.0, 1e6, False)):
        predicted = {**trial.predicted, "latency_ms": share * max_ms}
        limit = Limit("latency_ms", max_ms)
        limited = replace(trained, problem=replace(trained.problem, limits=(limit,)))
        assert _misses_limit(limited)(replace(trial, predicted=predicted)) is expected


def test_one_finalist_is_trained_if_none_gets_many_steps(own_run: Path) -> None:
    plan, ranked = chosen(own_run, lambda trial: UNABLE_S * (1.0 + trial.predicted["macs"]))
    smallest = min(ranked, key=lambda trial: trial.predicted["macs"])
    assert plan["finalists"] == [smallest.candidate.key]
    few = FinalTraining(cast(Finetuning, None), ranked, {smallest.candidate.key: 1.0}, {})
    other = next(trial for trial in ranked if trial is not smallest)
    assert few.finalist(other).finetuned is None, "not trained beyond the planned time"


@pytest.mark.parametrize(
    ("seconds", "steps"),
    [
        (3.0, {"large": 10, "middle": 25, "small": 100}),  # one second each
        (30.0, {"large": 125, "middle": 300, "small": 300}),
        (1700.0, {"large": 10_000, "middle": 10_000, "small": 10_000}),
    ],
)
def test_finalists_share_the_time_until_steps_are_many(
    seconds: float, steps: dict[str, int]
) -> None:
    step_s = {"large": 0.12, "small": 0.01, "middle": 0.04}
    found = divided(seconds, step_s)
    assert found == pytest.approx(steps, abs=1)


@pytest.mark.parametrize(
    ("seconds", "free_s", "jobs_s", "pace"),
    [
        (10.0, [0.0], [10.0], 1.0),
        (10.0, [0.0, 0.0], [10.0, 5.0, 5.0], 1.0),
        (10.0, [4.0, 0.0], [20.0], 0.5),  # two cores are free sooner or later; a job needs one
        (10.0, [10.0, 0.0], [4.0, 4.0], 1.25),
        (10.0, [0.0], [1.0], 2.0),
        (0.0, [0.0], [1.0], 0.5),
    ],
)
def test_trainings_are_as_long_as_lets_the_last_one_end_in_time(
    seconds: float, free_s: list[float], jobs_s: list[float], pace: float
) -> None:
    assert pace_within(seconds, free_s, jobs_s, most=2.0) == pytest.approx(pace)


def test_trainings_are_ordered_so_that_cores_are_idle_for_a_short_while() -> None:
    rest_s = [41.0, 34.0, 33.0, 31.0, 25.0, 19.0]
    order = soonest_order([58.0, 15.0], rest_s, at_once=2)
    assert sorted(order) == list(range(6))
    free_s = [58.0, 15.0]
    for place in order:
        free_s[free_s.index(min(free_s))] += rest_s[place]
    assert max(free_s) == 130.0, "it is 135 with the longest first, and 128 is half of all"
    many_s = [1.0] * (MOST_ORDERED + 1)
    assert soonest_order([], many_s, at_once=2) == tuple(range(len(many_s)))
    assert soonest_order([1.0], [], at_once=4) == ()


@pytest.mark.parametrize(
    ("remaining_s", "settings", "expected"),
    [
        (200.0, {}, 100.0),  # as planned
        (135.0, {}, 90.0),  # less 30 for what follows and 15 to spare
        (60.0, {}, 50.0),
        (60.0, {"finetune_s": 100.0}, 100.0),
    ],
)
def test_what_took_longer_than_planned_is_taken_from_the_finalists_training(
    tmp_path: Path, remaining_s: float, settings: dict[str, float], expected: float
) -> None:
    write_json(tmp_path / "search_plan.json", {"schema": 1, "finalists_s": 30.0})
    trained = SimpleNamespace(
        run=SimpleNamespace(path=tmp_path, remaining_s=lambda config: remaining_s),
        config=Config(time="300s", set=settings),
        phases=PhasePlan(trials=1, finetune_s=100.0),
    )
    assert _seconds_left(cast(Trained, trained)) == pytest.approx(expected)


def test_a_finalist_gets_a_few_steps_whatever_the_time() -> None:
    assert divided(0.0, {"large": 1.0, "small": 0.1}) == {"large": MIN_STEPS, "small": MIN_STEPS}


def test_unknown_statistics_are_refused() -> None:
    with pytest.raises(UserError, match="'batch' or 'frozen'"):
        Recipe(batch_norm="off")


@pytest.mark.parametrize(
    "wrong",
    [
        {"aware_share": 1.5},
        {"epochs": 1e30},
        {"epochs": float("nan")},
        {"learning_rate": float("inf")},
    ],
)
def test_a_recipe_beyond_all_bounds_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UserError, match="It must be at least 0 and at most 1"):
        Recipe(**wrong)  # type: ignore[arg-type]
