"""Files timed by an agent in another process: the contract, the commands, and lost connections."""

import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from operator import attrgetter
from pathlib import Path
from typing import Any

import onnx
import pytest

from nas.agent.__main__ import main as alone
from nas.cli import codes
from nas.front.card import read_card
from nas.profiling.compare import compare
from nas.run.directory import read_front
from nas.search_flow import search
from nas.system.files import read_json
from nas.system.reporter import Silent
from nas.targets import Timing, choose, measure
from nas.targets import _agent_client as client
from nas.targets._agent import TOKEN, TOKEN_FILE
from nas.testing.targets import CHECKS, fp32_file
from search_spaces import CandidateError, UserError
from tests.commands import exit_code as nas
from tests.conftest import TOY, time_in_two_processes
from tests.nas.latency.test_peaks import PEAKS
from tests.small_agent import (
    BLOCKED,
    CPU,
    INSTRUCTION_SET,
    ROOT,
    TOKEN_VALUE,
    SmallAgent,
    running_agent,
)


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallAgent]:
    with running_agent(tmp_path_factory.mktemp("device") / "agent") as started:
        yield started


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(TOKEN, TOKEN_VALUE)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[SmallAgent]:
    """An agent that a test may kill."""
    with running_agent(tmp_path / "agent") as started:
        yield started


@pytest.mark.parametrize("check", CHECKS, ids=attrgetter("__name__"))
def test_it_keeps_the_contract_of_targets(
    check: Callable[[str], None], agent: SmallAgent, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(f"remote:{agent.address}")


def test_what_times_files_needs_onnxruntime_and_numpy_alone(tmp_path: Path) -> None:
    """The agent of these tests does without the rest; so do the processes that it starts."""
    program = (
        f"{BLOCKED}import nas.targets._worker, nas.agent._worker as worker; "
        f"asked = dict(target='onnxruntime', file={str(fp32_file(tmp_path))!r}, "
        "threads=1, batch=1, budget_s=0.01); assert worker._answer(asked)['nodes']"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_timings_are_those_of_the_device(agent: SmallAgent, tmp_path: Path) -> None:
    file = fp32_file(tmp_path)
    target = f"remote:{agent.address},threads=2,batch=4"
    found = measure(target, [file, file], processes=2, budget_s=0.2)
    for timing in found:
        assert isinstance(timing, Timing)
        assert (timing.cpu, timing.runtime, timing.options) == (CPU, "onnxruntime", "")
        assert (timing.threads, timing.batch, timing.processes) == (2, 4, 2)
    assert choose(target).target.machine()["cpu"] == CPU


def test_a_file_that_does_not_stand_alone_has_no_timing_and_others_have(
    agent: SmallAgent, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    file, bad = fp32_file(tmp_path), tmp_path / "own" / "bad.onnx"
    model = onnx.load(file)
    onnx.save(model, bad, save_as_external_data=True, size_threshold=0, location="weights.bin")
    good, refused = measure(f"remote:{agent.address}", [file, bad], processes=1, budget_s=0.1)
    assert isinstance(good, Timing)
    assert isinstance(refused, CandidateError)
    assert f"'{bad}' does not stand alone: it has weights in another file" in str(refused)


def test_what_onnxruntime_says_of_a_file_names_the_file_here(
    agent: SmallAgent, tmp_path: Path
) -> None:
    file = fp32_file(tmp_path, batch=3)
    (refused,) = measure(f"remote:{agent.address}", [file], processes=1, budget_s=0.1)
    assert isinstance(refused, CandidateError)
    assert f"file '{file}': input 'images' has shape [3, 3, 8, 8]" in str(refused)
    assert str(agent.folder) not in str(refused)


def test_files_are_compared_as_here_and_the_device_says_how_busy_it_was(
    agent: SmallAgent,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nas.profiling.files.peaks_of", lambda *_: PEAKS)
    monkeypatch.setattr("nas.profiling.compare.LEAST_PROCESSES", 2)
    file = fp32_file(tmp_path)
    code = nas(
        *("profile", file, file, "--target", f"remote:{agent.address}", "--time", "1s", "--json")
    )
    assert code == codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["target"] == f"remote:{agent.address}"
    assert {row["latency"]["cpu"] for row in found["files"]} == {CPU}
    assert found["files"][0]["slowest"][0]["op"] == "Conv"
    assert len(found["pairs"]) == 1
    assert all(block["kernel_ms"] > 0 for block in found["processes"])


def test_what_the_device_did_meanwhile_is_what_it_says(
    agent: SmallAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.targets._conditions.time_kernel", lambda: 1e9)  # of this machine
    chosen = choose(f"remote:{agent.address}")
    found = compare([fp32_file(tmp_path)], chosen=chosen, seconds=0.5)
    assert max(block.kernel_ms for block in found.blocks) < 1e6


def test_an_agent_that_is_killed_and_started_again_costs_a_process_at_most(
    own: SmallAgent, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file, found = fp32_file(tmp_path), []
    target = f"remote:{own.address}"
    choose(target).target.describe()

    def work() -> None:
        found.extend(measure(target, [file] * 3, processes=3, budget_s=2.0))

    def restart() -> None:
        own.kill()
        time.sleep(0.7)
        own.start()

    with caplog.at_level(logging.WARNING), in_the_middle_of_a_job(restart):
        work()
    assert [timing.processes for timing in found] == [3, 3, 3]
    assert f"The agent at {own.address} does not answer" in caplog.text


def test_an_agent_that_stays_away_is_one_message_and_code_1(
    own: SmallAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(client, "PATIENCE_S", 0.6)
    choose(f"remote:{own.address}").target.describe()
    own.kill()
    code = nas("profile", fp32_file(tmp_path), "--target", f"remote:{own.address}")
    assert code == codes.FAILED
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"nas: the agent at {own.address} has not answered for ")
    assert message.endswith("mend it and give the same command to continue.")


def test_a_device_that_keeps_no_files_is_one_message_and_code_1(
    own: SmallAgent, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(own.folder)
    code = nas("profile", fp32_file(tmp_path), "--target", f"remote:{own.address}")
    assert code == codes.FAILED
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"the agent at {own.address} keeps no files: what arrives cannot be written" in message


def test_what_failed_on_the_device_is_one_message_and_code_1(
    agent: SmallAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    failed = {"failure": "OSError: No space left on device"}, False
    monkeypatch.setattr(client.AgentClient, "_advanced", lambda *asked: failed)
    code = nas("profile", fp32_file(tmp_path), "--target", f"remote:{agent.address}")
    assert code == codes.FAILED
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"the agent at {agent.address} says: OSError: No space left on device." in message


def test_a_file_for_which_an_agent_has_no_room_says_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "large.onnx"
    model = onnx.load(fp32_file(tmp_path))
    model.doc_string = "x" * 1_000_000
    onnx.save(model, file)
    with running_agent(tmp_path / "agent", "--storage-gb", "0.001") as small:
        (refused,) = measure(f"remote:{small.address}", [file], processes=1, budget_s=0.1)
    assert isinstance(refused, CandidateError)
    assert f"file '{file}': the body has" in str(refused)
    assert "Start the agent with a larger --storage-gb." in str(refused)


@pytest.mark.parametrize(
    ("folder", "code", "message"),
    [
        ("/proc/nas/agent", codes.FAILED, "cannot read or write '/proc/nas"),
        (__file__, codes.WRONG_USE, "Move what is in its place away"),
    ],
)
def test_a_folder_that_cannot_be_is_one_message_without_the_rest_of_nas(
    folder: str,
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["agent", "--folder", folder])
    assert alone() == code
    assert message in capsys.readouterr().err


def test_another_device_behind_the_same_address_is_refused(
    agent: SmallAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = f"remote:{agent.address}"
    choose(target).target.describe()
    other = replace(client._seen[agent.address], cpu="another processor")
    monkeypatch.setitem(client._seen, agent.address, other)
    with pytest.raises(UserError, match="was .*another processor.* and is .*imagined"):
        measure(target, [fp32_file(tmp_path)], processes=1, budget_s=0.1)


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({TOKEN: ""}, f"neither {TOKEN} nor {TOKEN_FILE} is set"),
        ({TOKEN: "x" * 20}, "has another token"),
        ({TOKEN: "short"}, "is no token: it must be at least 16"),
        ({TOKEN: "", TOKEN_FILE: "/nowhere"}, "cannot be read: No such file or directory."),
    ],
)
def test_a_wrong_token_is_one_message(
    variables: dict[str, str],
    message: str,
    agent: SmallAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    client._seen.clear()
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code = nas("profile", fp32_file(tmp_path), "--target", f"remote:{agent.address}")
    assert code == codes.WRONG_USE
    assert message in capsys.readouterr().err


def test_an_address_that_is_none_or_where_no_agent_is_is_one_message(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for target, message in (
        ("remote", "does not say where the device is"),
        ("remote:", "does not say where the device is"),
        ("remote:,threads=2", "does not say where the device is"),
        ("remote:elsewhere", "'elsewhere' is no address. Write HOST:PORT"),
        ("remote:pi..local:8477", "'pi..local:8477' is no address. Write HOST:PORT"),
        (f"remote:{'pi' * 40}:8477", "is no address. Write HOST:PORT"),
        ("remote:127.0.0.1:1", "no agent answers"),
    ):
        assert nas("profile", fp32_file(tmp_path), "--target", target) == codes.WRONG_USE
        assert message in capsys.readouterr().err


@pytest.mark.long
def test_a_search_is_about_the_device_and_outlasts_its_agent(
    own: SmallAgent,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Killed for good while the profile is timed, then once more, and back after a second."""
    time_in_two_processes(monkeypatch)
    config, run = replace(TOY, target=f"remote:{own.address}"), tmp_path / "run"
    with monkeypatch.context() as impatient, in_the_middle_of_a_job(own.kill):
        impatient.setattr(client, "PATIENCE_S", 0.5)
        said = ""
        try:  # pytest.raises would keep the error
            search(config, run, Silent())
        except ConnectionError as error:
            said = str(error)
    assert "Start it again on the device" in said
    assert not (run / "profile/profile.json").exists()
    own.start()

    def restart() -> None:
        own.kill()
        time.sleep(1.0)
        own.start()

    with caplog.at_level(logging.WARNING), in_the_middle_of_a_job(restart):
        search(config, run, Silent())
    assert f"The agent at {own.address} does not answer" in caplog.text
    assert read_json(run / "search_plan.json")["portable_int8"], "the device's sums saturate"
    members = read_front(run)["members"]
    assert members
    for key in members:
        latency = read_card(run / "front" / key / "card.json")["files"]["model.onnx"]["latency"]
        assert (latency["cpu"], latency["instruction_set"]) == (CPU, INSTRUCTION_SET)


@contextmanager
def in_the_middle_of_a_job(act: Callable[[], None]) -> Iterator[None]:
    """Does something while an agent has a job, for which a process starts there."""
    has_begun, asked = threading.Event(), client.AgentClient._asked

    def noted(self: client.AgentClient, *words: Any) -> tuple[int, dict[str, Any]]:
        found = asked(self, *words)
        if found[0] == client.ACCEPTED:
            has_begun.set()
        return found

    def wait_and_act() -> None:
        if has_begun.wait(120.0):
            time.sleep(0.2)
            act()

    thread = threading.Thread(target=wait_and_act, daemon=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(client.AgentClient, "_asked", noted)
        thread.start()
        yield
    assert has_begun.is_set(), "the agent had no job"
    thread.join()
