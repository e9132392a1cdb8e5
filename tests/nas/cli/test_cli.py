"""The command line: agreed flags, exit codes with a meaning, one message and no traceback."""

import errno
import importlib.machinery
import io
import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import typer
from rich.console import Console

from nas.cli import app as cli
from nas.cli import codes
from nas.cli import commands as cli_commands
from nas.cli.console import make_reporter, print_table, say
from nas.run.config import MOST
from nas.system.progress import Bars
from search_spaces import UserError
from tests.commands import exit_code as nas

FLAGS = {
    "search": [
        "--space",
        "--plugin",
        "--budget",
        "--data",
        "--task",
        "--data-dir",
        "--cache",
        "--resolution",
        "--skip-corrupt",
        "--target",
        "--precision",
        "--sparsity",
        "--fix",
        "--pattern",
        "--method",
        "--controller",
        "--executor",
        "--workers",
        "--ray-address",
        "--trials",
        "--time",
        "--supernet",
        "--profile",
        "--seed",
        "--threads",
        "--device",
        "--devices",
        "--out",
        "--config",
        "--set",
        "--tensorboard",
        "--dry-run",
        "--json",
    ],
    "compress": [
        "--weights",
        "--mean",
        "--std",
        "--max-drop",
        "--plugin",
        "--budget",
        "--data",
        "--data-dir",
        "--cache",
        "--resolution",
        "--skip-corrupt",
        "--target",
        "--precision",
        "--sparsity",
        "--fix",
        "--pattern",
        "--rank",
        "--method",
        "--controller",
        "--executor",
        "--trials",
        "--time",
        "--seed",
        "--threads",
        "--device",
        "--out",
        "--config",
        "--set",
        "--json",
    ],
    "train": [
        "--space",
        "--plugin",
        "--budget",
        "--data",
        "--task",
        "--data-dir",
        "--cache",
        "--resolution",
        "--skip-corrupt",
        "--target",
        "--precision",
        "--sparsity",
        "--fix",
        "--pattern",
        "--method",
        "--executor",
        "--ray-address",
        "--time",
        "--profile",
        "--seed",
        "--threads",
        "--device",
        "--devices",
        "--out",
        "--config",
        "--set",
        "--tensorboard",
        "--dry-run",
        "--json",
    ],
    "stitch": [
        "--out",
        "--data",
        "--data-dir",
        "--cache",
        "--resolution",
        "--mean",
        "--std",
        "--two-way",
        "--update-rank",
        "--json",
    ],
    "export": ["--key", "--arch", "--out", "--json"],
    "report": ["--filters", "--robustness", "--epsilons", "--out", "--json"],
    "finetune": [
        "--key",
        "--epochs",
        "--teacher",
        "--data",
        "--unlabelled",
        "--skip-corrupt",
        "--learning-rate",
        "--batch-norm",
        "--aware",
        "--set",
        "--grow-to",
        "--device",
        "--plugin",
        "--json",
    ],
    "expand": [
        "--key",
        "--sizes",
        "--epochs",
        "--threshold",
        "--device",
        "--plugin",
        "--json",
    ],
    "exits": [
        "--key",
        "--epochs",
        "--budget",
        "--threshold",
        "--together",
        "--set",
        "--device",
        "--plugin",
        "--json",
    ],
    "agent": ["--host", "--port", "--folder", "--storage-gb", "--token-file"],
    "doctor": ["--json"],
    "fidelity": ["--subnets", "--time", "--json"],
    "bench operators": [
        "--operators",
        "--data",
        "--data-dir",
        "--resolution",
        "--time",
        "--seeds",
        "--sides",
        "--seed",
        "--target",
        "--plugin",
        "--out",
        "--json",
    ],
    "bench methods": [
        "--methods",
        "--space",
        "--plugin",
        "--budget",
        "--data",
        "--task",
        "--data-dir",
        "--resolution",
        "--time",
        "--seeds",
        "--seed",
        "--members",
        "--images",
        "--alone",
        "--threads",
        "--device",
        "--set",
        "--out",
        "--json",
    ],
    "bench controllers": [
        "--table",
        "--choices",
        "--space",
        "--maximize",
        "--minimize",
        "--reference",
        "--evaluations",
        "--seeds",
        "--controllers",
        "--plugin",
        "--known",
        "--limit",
        "--noise",
        "--out",
        "--json",
    ],
    "profile": [
        "--space",
        "--plugin",
        "--target",
        "--time",
        "--resolution",
        "--budget",
        "--precision",
        "--sparsity",
        "--classes",
        "--channels",
        "--out",
        "--json",
    ],
    "sweep": ["--out", "--ray-address", "--resume", "--dry-run", "--json"],
    "space list": ["--plugin", "--json"],
    "space describe": [
        "--plugin",
        "--budget",
        "--resolution",
        "--classes",
        "--channels",
        "--precision",
        "--sparsity",
        "--json",
    ],
    "plugin list": ["--plugin", "--json"],
    "plugin check": ["--plugin", "--json"],
    "space operators": ["--plugin", "--width", "--side", "--picture", "--json"],
    "space check": ["--plugin", "--resolution", "--classes", "--channels", "--json"],
    "space import": ["--format", "--out", "--fix", "--json"],
    "space export": [
        "--format",
        "--plugin",
        "--resolution",
        "--classes",
        "--channels",
        "--precision",
        "--sparsity",
        "--out",
    ],
}
"""A flag is forever: a new one needs a line here, and a reason why `--set` is not enough."""

TOY = ["search", "--space", "toy", "--data", "digits", "--resolution", "16"]


def commands() -> dict[str, object]:
    """Every command by its full name."""
    found = {}
    for name, command in typer.main.get_command(cli_commands.app).commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found |= {f"{name} {n}": c for n, c in inner.items()} if inner else {name: command}
    return found


def test_the_flags_are_those_that_were_agreed() -> None:
    found = {
        name: [o for p in command.params for o in p.opts if o.startswith("--")]  # type: ignore[attr-defined]
        for name, command in commands().items()
    }
    assert found == FLAGS


def test_a_space_file_is_checked_and_what_is_wrong_sets_the_exit_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (Path(cli.__file__).parents[2] / "examples/my_space.py").read_text()
    good, bad = tmp_path / "good.py", tmp_path / "bad.py"
    good.write_text(text)
    bad.write_text(text.replace("(3, 5)", "(3, 7, 9)"))
    assert nas("space", "check", str(good)) == codes.OK
    assert "no problems found" in capsys.readouterr().out
    assert nas("space", "check", str(bad)) == codes.FAILED
    assert "9 always gives the same network" in capsys.readouterr().out
    assert nas("space", "check", str(tmp_path / "absent.py")) == codes.WRONG_USE


@pytest.mark.parametrize("name", FLAGS)
def test_help_has_an_example(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert nas(*name.split(), "--help") == codes.OK
    assert f"Example: nas {name}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bugdet", "3ms"], "--budget"),
        (["--trials", "six"], "--trials"),
        (["--budget", "4.5GFLOP"], "Did you mean '4.5GFLOPs'?"),
        (["--budget", "-3ms"], "it must be more than zero"),
        (["--budget", "abc"], "it does not start with a number"),
        (["--budget", "1kFLOPs"], "no network of this space is that small. The space spans"),
        (["--budget", "12ms", "--budget", "1kFLOPs"], "budget '1kFLOPs'"),
        (["--budget", "5%ms"], "Write an absolute value instead"),
        (["--budget", "0.000001ms"], "the smallest networks of space 'toy' take at least"),
        (["--space", "tooy"], "Did you mean 'toy'?"),
        (["--data", "digit"], "Did you mean 'digits'?"),
        (["--method", "sandwhich"], "Did you mean 'sandwich'?"),
        (["--method", "adversarial", "--set", "method=adversarial"], "steps of another one itself"),
        (["--controller", "randm"], "Did you mean 'random'?"),
        (["--target", "onnxruntim"], "Did you mean 'onnxruntime'?"),
        (["--target", "onnxruntime:thread=2"], "Did you mean 'threads'?"),
        (["--target", "onnxruntime:batch=0"], "It must be a whole number from 1 to 65536"),
        (["--precision", "int4"], "unknown precision 'int4'"),
        (["--precision", ""], "at least one"),
        (["--sparsity", "0,x"], "'0,x' is not a list of numbers"),
        (["--devices", "0"], "devices is 0. It must be at least 1"),
        (["--devices", "3"], "1 would have nothing to do. Add --set shards=3, or ask for 2"),
        (["--resolution", "3000"], "resolution 3000 px is outside 16-256 px"),
        (["--resolution", "8x32"], "resolution 8x32 px is outside 16-256 px"),
        (["--resolution", "96x"], "resolution 96x is not a size in pixels"),
        (["--resolution", "x96"], "resolution x96 is not a size in pixels"),
        (["--resolution", "0x3"], "resolution 0x3 is not a size in pixels"),
        (["--resolution", "96*128"], "Allowed: one number for squares, or height x width"),
        (["--resolution", "9" * 5000 + "x16"], "is not a size in pixels"),
        (["--supernet", "nowhere"], "supernet 'nowhere' has no supernet.safetensors"),
        (["--time", "5"], "time '5' is not a duration"),
        (["--seed", str(2**70)], f"It must be at most {2**64 - 1}"),
        (["--trials", "9" * 30], "It must be at most 1000000"),
        (["--data", "\x1b[31mred"], "unknown data set '?[31mred'"),
        (["--set", "steps"], "Write --set name=value"),
        (["--set", "stps=3"], "Did you mean 'steps'?"),
        (["--set", "steps=abc"], "It must be a whole number"),
        (["--set", 'steps={"a":1}'], "It must be a number"),
        (["--config", "absent.toml"], "cannot read configuration 'absent.toml'"),
    ],
)
def test_a_mistake_is_one_message_code_2_and_no_file(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert nas(*TOY, *arguments, "--out", str(out)) == codes.WRONG_USE
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""
    assert not out.exists()


def test_unknown_names_are_refused_before_torch_is_imported(tmp_path: Path) -> None:
    """And no file of the kinds of plug-ins that are asked for their settings imports it."""
    program = """
import sys
import nas
from nas.cli.app import main
from nas.controllers import CONTROLLERS
from nas.executors import EXECUTORS
from supernets.methods import METHODS
flags = [
    *("--space=x", "--target=x", "--precision=x", "--data=x", "--set=x=1", "--budget=x"),
    *("--controller=x", "--executor=x", "--config=m.toml", "--set=criterion=x"),
]
open("m.toml", "w").write('method = "x"')
for flag in flags:
    for command in ("search", "train"):
        if command == "search" or not flag.startswith(("--controller", "--executor")):
            try:
                main([command, flag])
            except SystemExit as end:
                assert end.code == 2, flag
try:
    nas.search(set={"y": 1})
except nas.UserError as error:
    print(error, file=sys.stderr)
for registry in (CONTROLLERS, EXECUTORS, METHODS):
    for name in registry:
        registry.get(name)
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("nas: unknown") == 16
    assert done.stderr.count("nas: budget 'x'") == 2
    assert "unknown setting 'y'" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["m.toml"]


def test_every_number_on_the_command_line_has_a_bound() -> None:
    apps = [cli_commands.app, *(g.typer_instance for g in cli_commands.app.registered_groups)]
    unbounded = set()
    for command in (command for app in apps if app for command in app.registered_commands):
        for name, hint in get_type_hints(command.callback, include_extras=True).items():
            kind, *options = get_args(hint) or (hint,)
            if options and {int, float} & {kind, *get_args(kind)} and options[0].max is None:
                unbounded.add(name)
    assert unbounded <= MOST.keys()


def test_missing_data_says_where_it_was_searched_and_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from nas.data import fashion_mnist

    monkeypatch.setenv("NAS_DATA", str(tmp_path / "elsewhere"))
    monkeypatch.setattr(fashion_mnist, "INSTALLED", tmp_path / "usr")
    code = nas("search", "--data", "fashion-mnist", "--data-dir", str(tmp_path))
    error = capsys.readouterr().err
    assert code == codes.WRONG_USE
    assert "apt-get install dataset-fashion-mnist" in error
    assert str(tmp_path) in error
    assert str(tmp_path / "elsewhere") in error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (UserError("budget 'x' is wrong."), 2, "nas: budget 'x' is wrong."),
        (OSError(errno.ENOSPC, "No space left", "runs/a"), 1, "'runs/a': No space left"),
        (OSError("no tensor written"), 1, "no tensor written"),
        (MemoryError(), 1, "nas: there is not enough memory. Nothing recorded is lost"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), 1, "is not enough memory (D"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), 1, "there is not enough memory"),
        (ImportError("libx.so: failed to map segment from shared object"), 1, "not enough memory"),
        (KeyboardInterrupt(), 130, "the same command continues"),
    ],
)
def test_what_happens_during_a_search_decides_the_code(
    error: BaseException,
    code: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import nas.search_flow

    def failing(*_: object) -> None:
        raise error

    monkeypatch.setattr(nas.search_flow, "search", failing)
    assert nas_code(TOY, tmp_path) == code
    assert message in capsys.readouterr().err


def nas_code(arguments: list[str], tmp_path: Path) -> int:
    return nas(*arguments, "--out", str(tmp_path / "run"))


@pytest.mark.parametrize("kind", [AssertionError, RuntimeError, ImportError])
def test_our_own_mistakes_keep_their_traceback(
    kind: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nas.search_flow

    def failing(*_: object) -> None:
        raise kind("our bug")

    monkeypatch.setattr(nas.search_flow, "search", failing)
    with pytest.raises(kind, match="our bug"):
        cli.main([*TOY, "--out", str(tmp_path / "run")])


def test_flags_win_over_the_file_and_settings_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import nas.search_flow

    seen = []
    monkeypatch.setattr(nas.search_flow, "search", lambda config, *_: seen.append(config) or 1 / 0)
    path = tmp_path / "a.toml"
    path.write_text('space = "hybrid"\nseed = 3\n[set]\nsteps = 5\nfinalists = 2\n')
    with pytest.raises(ZeroDivisionError):
        cli.main([*TOY, "--config", str(path), "--set", "steps=7", "--budget", "2MB"])
    assert (seen[0].space, seen[0].seed, seen[0].budget) == ("toy", 3, ("2MB",))
    assert seen[0].set == {"steps": 7, "finalists": 2}


def test_a_report_of_no_run_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert nas("report", str(tmp_path / "absent")) == codes.WRONG_USE
    assert "this is not a run directory" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "koi8-r"])
def test_what_an_encoding_cannot_say_is_replaced(
    encoding: str, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert nas("report", str(own_run)) == codes.OK
    assert b"report.html" in written.getvalue()


def test_a_space_can_be_described_for_machines(capsys: pytest.CaptureFixture[str]) -> None:
    assert nas("space", "describe", "toy", "--budget", "60%MACs", "--json") == codes.OK
    found = json.loads(capsys.readouterr().out)
    assert found["name"] == "toy"
    assert 0.0 < found["share_within"] < 1.0
    assert nas("space", "list", "--json") == codes.OK
    assert {"hybrid", "toy"} <= json.loads(capsys.readouterr().out).keys()


def test_the_version_is_said_and_help_has_a_short_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert nas("--version") == codes.OK
    assert re.fullmatch(r"pareto-nas \S.*\n", capsys.readouterr().out)
    for arguments in (["-h"], ["search", "-h"], ["space", "list", "-h"]):
        assert nas(*arguments) == codes.OK
        assert "Usage: " in capsys.readouterr().out


def test_output_may_be_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    assert nas("space", "list") == codes.OK
    assert nas("space", "check", "absent.py") == codes.WRONG_USE
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        stream.close()


def test_ctrl_c_is_understood_while_commands_are_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.machinery.PathFinder.find_spec

    def interrupted(name: str, *rest: Any) -> Any:
        if name == "nas.cli.commands":
            raise KeyboardInterrupt
        return find(name, *rest)

    monkeypatch.delitem(sys.modules, "nas.cli.commands")
    monkeypatch.setattr(importlib.machinery.PathFinder, "find_spec", interrupted)
    assert nas("space", "list") == codes.INTERRUPTED
    assert capsys.readouterr().err == "nas: interrupted; the same command continues.\n"


def test_names_do_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    assert nas("space", "list") == codes.OK  # sets up how warnings are printed
    hostile = "\x1b]0;title\x07cat\x9b2J\r"
    print_table(["class\nname", "x"], [[hostile, "a\tb"]])
    reporter = make_reporter(as_json=False)
    reporter.phase("data", f"reading {hostile}")
    reporter.note(hostile)
    bars = Bars(Console(file=sys.stdout, force_terminal=True, no_color=True, width=200))
    bars.phase("data", f"[/b]{hostile}")
    bars.advance(1, 2, hostile)
    bars.note(hostile)
    bars.close()
    say(hostile, err=True)
    assert logging.lastResort is not None
    assert "\x1b" not in logging.lastResort.format(logging.makeLogRecord({"msg": hostile}))
    printed = capsys.readouterr()
    assert "\x1b]0" not in printed.out + printed.err
    assert not set("\x07\x9b") & set(printed.out + printed.err)
    assert "class name\tx\n?]0;title?cat?2J?\ta b\n" in printed.out
    assert "[/b]?]0;title" in printed.out


@pytest.mark.parametrize(
    "arguments", [["space", "describe", "toy"], pytest.param(TOY, marks=pytest.mark.long)]
)
def test_a_closed_pipe_is_silence_and_the_code_of_a_shell(
    arguments: list[str], tmp_path: Path
) -> None:
    out = ["--out", str(tmp_path / "run")] if arguments is TOY else []
    program = f"from nas.cli.app import main; main({[*arguments, *out]})"
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [sys.executable, "-c", program], stdout=write_end, stderr=subprocess.PIPE, text=True
    )
    os.close(write_end)
    assert done.returncode == codes.UNREAD == 128 + signal.SIGPIPE
    assert done.stderr == ""


@pytest.mark.long
def test_ctrl_c_is_code_130_and_one_line(tmp_path: Path) -> None:
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from nas.cli.app import main; import nas.search_flow; print('ready', flush=True); main()"
    )
    arguments = [*TOY, "--time", "1h", "--out", str(tmp_path / "run")]
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        while "size:" not in process.stdout.readline():
            assert process.poll() is None
        time.sleep(4.0)  # processes that train pilots start meanwhile
        os.killpg(process.pid, signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == codes.INTERRUPTED
    assert errors.strip() == "nas: interrupted; the same command continues."


@pytest.mark.parametrize("arguments", [("report", "absent"), ("doctor",), ("search", "--dry-run")])
def test_what_processes_of_torchrun_cannot_share_the_first_one_refuses_alone(
    arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    assert nas(*arguments) == codes.WRONG_USE
    assert "torchrun has started 2 processes, and this command needs one" in capsys.readouterr().err
    monkeypatch.setenv("RANK", "1")
    assert nas(*arguments) == codes.OK
    assert capsys.readouterr().err == ""
