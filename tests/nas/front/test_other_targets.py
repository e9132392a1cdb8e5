"""Files are timed on every target that is named, and limits on the others hold."""

from dataclasses import replace
from pathlib import Path

import pytest

from nas.executors import make_timers
from nas.front.contest import over_limit
from nas.front.folders import EXPORTS
from nas.front.measure import Exporter
from nas.front.members import entry_of
from nas.prepare.inputs import check_names, of_known_target
from nas.prepare.reopen import reopened
from nas.prepare.trim import announce
from nas.problem.budget import parse_budget
from nas.problem.problem import Limit
from nas.run.config import Config, make_config
from nas.run.directory import read_front
from nas.system.reporter import Silent
from nas.targets import TARGETS
from search_spaces import UserError

OTHER = "onnxruntime:batch=32"


@pytest.mark.long
@pytest.mark.usefixtures("two_timing_processes")
def test_every_file_is_timed_on_every_target_and_a_limit_there_holds(own_run: Path) -> None:
    trained = reopened(own_run, Silent())
    config = replace(trained.config, other_targets=(OTHER,))
    exporter = Exporter(
        run=trained.run,
        problem=trained.problem,
        scorer=trained.scorer,
        data=trained.data,
        timers=make_timers(config),
        beside=EXPORTS,
    )
    key = next(iter(read_front(own_run)["members"])).partition("-")[0]
    (card,) = exporter.cards([entry_of(trained, key)])
    assert isinstance(card, dict)
    files = {name: facts for name, facts in card["files"].items() if name.endswith(".onnx")}
    for name, facts in files.items():
        assert (facts["latency"]["batch"], facts["elsewhere"][OTHER]["batch"]) == (1, 32)
        assert (own_run / f"timings/on-onnxruntime_batch_32/{card['key']}.{name}.json").is_file()
    trial = exporter.trial(0, entry_of(trained, key).candidate, card)
    metric, there_ms = f"latency_ms@{OTHER}", trial.value(f"latency_ms@{OTHER}")
    assert there_ms > 3 * trial.value("latency_ms")
    for most_ms, holds in ((1.01 * there_ms, True), (0.99 * there_ms, False)):
        problem = replace(trained.problem, limits=(Limit(metric, most_ms),))
        assert (over_limit(problem, trial) is None) is holds


def test_a_budget_names_a_target_of_the_search() -> None:
    config = Config(target="onnxruntime", other_targets=(OTHER,))
    there = of_known_target(parse_budget("5ms@onnxruntime:batch=32,threads=1"), config)
    assert there.metric == f"latency_ms@{OTHER}"
    assert of_known_target(parse_budget("5ms@onnxruntime"), config).metric == "latency_ms"
    with pytest.raises(UserError, match="does not time on 'torch-eager', but on onnxruntime, "):
        of_known_target(parse_budget("5ms@torch-eager"), config)


def test_a_limit_that_nobody_predicts_is_announced_as_what_it_does() -> None:
    notes: list[str] = []

    class Noting(Silent):
        def note(self, text: str) -> None:
            notes.append(text)

    row = {"text": "5ms@openvino", "metric": "latency_ms@openvino", "max": 5.0}
    announce({"limits": [row]}, Noting(), is_trained=True)
    assert notes == ["budget 5ms@openvino: files that take longer there are replaced"]


def test_targets_are_named_once_and_all_have_the_kernels() -> None:
    with pytest.raises(UserError, match="Name each once"):
        make_config({"target": "onnxruntime", "other_targets": ("onnxruntime:batch=1",)})
    assert not TARGETS.get("torch-eager")().offers("int8")
    with pytest.raises(UserError, match="'int8' needs kernels that target 'torch-eager' does not"):
        check_names(Config(other_targets=("torch-eager",)))
