"""Imports point down, files stay small, and what must not be there is not there.

    search_spaces < supernets < compress < nas < reports

Inside of `nas` the folders are rooms, and rooms import only those before them in `ROOMS`. The
tables below are the design; a change to them needs a decision in docs/decisions.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from compress.quantize._base import QUANTIZATIONS
from search_spaces import FORMATS, TASKS, stem_of, task_of
from search_spaces.channel_attentions import CHANNEL_ATTENTIONS
from search_spaces.channel_parts._base import CHANNEL_PARTS
from search_spaces.norms import NORMS
from search_spaces.operators._base import OPERATORS
from search_spaces.trunk._base import TRUNK
from supernets.blocks._base import BLOCKS
from supernets.channel_attentions import CHANNEL_ATTENTION_LAYERS
from supernets.channel_parts._base import ELASTIC_CHANNEL_PARTS
from supernets.device import ACCELERATORS
from supernets.mixers._base import MIXERS
from supernets.norms import NORM_LAYERS
from supernets.tasks._base import LOSSES
from supernets.trunk._base import TRUNK_BLOCKS

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "search_spaces": set(),
    "supernets": {"search_spaces"},
    "compress": {"search_spaces", "supernets"},
    "nas": {"search_spaces", "supernets", "compress"},
    "reports": {"search_spaces", "nas"},
}
MAY_IMPORT_EVERYTHING = ("nas/api/", "nas/cli/")
"""The two ways in, from Python and from a shell. `nas/__init__.py` is the door to the first one."""

FLOWS = "flows"
ROOMS = [
    "system",
    "problem",
    "allocations",
    "data",
    "targets",
    "latency",
    "controllers",
    "run",
    "standalone",
    "scoring",
    "executors",
    "prepare",
    "finalists",
    "front",
    FLOWS,
    "sweep",
    "bench",
    "inspect",
    "profiling",
    "agent",
    "testing",
    "api",
    "cli",
]
"""Of `nas`, from the bottom to the top. The files beside the rooms are flows, one per command."""

NEVER_NAMES_TORCH = ("search_spaces", "reports")
STARTS_WITHOUT_TORCH = ("search_spaces", "nas", "reports", "nas.api.search", "nas.cli.commands")
POSIX_MODULES = ("fcntl", "resource", "pwd", "grp", "termios")
POSIX_ONLY = {
    *("pwrite", "pread", "fork", "forkpty", "sched_getaffinity", "sched_setaffinity", "killpg"),
    *("getuid", "geteuid", "getgid", "getpgid", "setsid", "mkfifo", "nice", "uname", "wait"),
    *("getloadavg", "sysconf", "statvfs", "chown", "fchmod", "sync", "mknod", "O_DIRECTORY"),
    *("SIGKILL", "SIGALRM", "SIGHUP", "SIGUSR1", "alarm", "setitimer", "pthread_sigmask", "pause"),
}
"""Of `os` and `signal`: Windows lacks them, and so most files do without."""

USES_POSIX = {
    ("compress/bring/_memory.py", "sysconf"),
    ("nas/system/environment.py", "getloadavg"),
    ("nas/system/environment.py", "sched_getaffinity"),
    ("nas/system/environment.py", "sysconf"),
    ("nas/sweep/tune.py", "getuid"),
    ("supernets/_worker.py", "pthread_sigmask"),
}
"""Where it is asked for first whether there is one, or which runs on clusters alone."""

PRINTS = ("_worker.py", "__main__.py")
"""Files that end like this answer the process that started them by printing, or are commands."""

ECHOES = ("typer.echo", "sys.stdout.write", "sys.stderr.write")
FORBIDDEN_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve"}
FORBIDDEN_CALLS = {"torch.load", "torch.save", "eval", "exec"}
READS_TENSORS = ("compress/bring/_load.py", "torch.load")
"""Of a user's file, with `weights_only`, which executes nothing."""
TAKES_BACK = ("supernets/device.py", "torch.use_deterministic_algorithms")
"""In a context that ends with what was set before."""

KNOWS_DEVICES = {"supernets/device.py", "nas/testing/fake_device.py"}
KNOWS_PROVIDERS = {"nas/front/_verify_worker.py", "nas/targets/onnxruntime.py"}
"""Of onnxruntime, which has its own names for what computes."""

OF_ACCELERATORS = ("torch.cuda", "torch.mps", "torch.xpu", "torch.accelerator", "torch.backends")
LONGEST_FILE, LONGEST_FUNCTION = 400, 60
TESTED_THROUGH = {
    "BLOCKS": "OPERATORS",
    "MIXERS": "OPERATORS",
    "ELASTIC_CHANNEL_PARTS": "CHANNEL_PARTS",
    "CHANNEL_ATTENTION_LAYERS": "CHANNEL_ATTENTIONS",
    "TRUNK_BLOCKS": "TRUNK",
    "NORM_LAYERS": "NORMS",
    "QUANTIZATIONS": "FORMATS",
    "LOSSES": "TASKS",
}
"""Implementations have the names of declarations, whose contract tests both."""

FILES = sorted(
    str(path.relative_to(ROOT)) for package in ALLOWED for path in (ROOT / package).rglob("*.py")
)


@cache
def text(file: str) -> str:
    return (ROOT / file).read_text(encoding="utf-8")


@cache
def tree(file: str) -> ast.Module:
    return ast.parse(text(file))


@cache
def nodes(file: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(tree(file)))


def package_of(file: str) -> str:
    return file.partition("/")[0]


def room_of(file: str) -> str:
    parts = file.split("/")
    return FLOWS if len(parts) == 2 else parts[1]


def imported(file: str) -> Iterator[tuple[int, str]]:
    """Line and first part of the name of every module a file imports, inside functions too."""
    for line, names in imported_names(file):
        yield line, names[0].partition(".")[0]


def imported_names(file: str) -> Iterator[tuple[int, list[str]]]:
    """Line of every import: its module, and what it takes from it, which may be modules, too."""
    for node in nodes(file):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, [alias.name]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}:{node.lineno}: imports are absolute"
            yield node.lineno, [str(node.module), *(f"{node.module}.{a.name}" for a in node.names)]


def imported_files(file: str) -> Iterator[tuple[int, str]]:
    """Line and file of everything of ours that a file imports, for its types alone, too."""
    for line, (module, *names) in imported_names(file):
        files = [file_of(name) for name in names]
        if "" in files or not files:
            files.append(file_of(module))
        yield from ((line, found) for found in files if found)


@cache
def file_of(module: str) -> str:
    """The file of a module of ours; "" for any other name."""
    stem = module.replace(".", "/")
    return next((name for name in (f"{stem}.py", f"{stem}/__init__.py") if name in FILES), "")


def calls(file: str) -> Iterator[tuple[int, str]]:
    """Line and dotted name of everything a file calls by name."""
    for node in nodes(file):
        if isinstance(node, ast.Call):
            yield node.lineno, dotted(node.func)


def dotted(node: ast.expr) -> str:
    """The words "torch.load" for that expression, "" for one that is no name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def num_lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def num_lines_of_docstring(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return 0 if ast.get_docstring(function) is None else num_lines(function.body[0])


def test_every_package_has_files_to_look_at() -> None:
    assert {package_of(file) for file in FILES} == set(ALLOWED)


def test_imports_point_down() -> None:
    upward = [
        f"{file}:{line} imports {name}"
        for file in FILES
        for line, name in imported(file)
        if name in ALLOWED
        and name not in {package_of(file), *ALLOWED[package_of(file)]}
        and not file.startswith(MAY_IMPORT_EVERYTHING)
    ]
    assert not upward


def test_rooms_import_only_those_below() -> None:
    upward = [
        f"{file}:{line} imports {other}"
        for file in FILES
        if package_of(file) == "nas" and file != "nas/__init__.py"
        for line, other in imported_files(file)
        if package_of(other) == "nas" and ROOMS.index(room_of(other)) > ROOMS.index(room_of(file))
    ]
    assert not upward
    assert {room_of(file) for file in FILES if package_of(file) == "nas"} == set(ROOMS)


def test_no_files_import_each_other_in_a_circle() -> None:
    imports = {file: {other for _, other in imported_files(file)} - {file} for file in FILES}
    while ends := {file for file, others in imports.items() if not others & set(imports)}:
        imports = {file: others for file, others in imports.items() if file not in ends}
    assert not imports, "these are in circles, or import files that are"


@pytest.mark.parametrize("package", NEVER_NAMES_TORCH)
def test_packages_without_torch_never_name_it(package: str) -> None:
    files = [file for file in FILES if package_of(file) == package]
    assert not [f"{f}:{line}" for f in files for line, name in imported(f) if name == "torch"]


@pytest.mark.parametrize("package", STARTS_WITHOUT_TORCH)
def test_importing_the_package_does_not_import_torch(package: str) -> None:
    """Nor modules that Windows does not have, whose absence others allow for."""
    absent = "".join(f"sys.modules[{name!r}] = None; " for name in POSIX_MODULES)
    code = f"import sys; {absent}import {package}; sys.exit('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    assert done.returncode == 0


def test_nothing_that_windows_lacks_is_used_but_where_it_is_said() -> None:
    modules = [(f, line, name) for f in FILES for line, name in imported(f)]
    assert not [where for where in modules if where[2] in POSIX_MODULES]
    used = {
        (file, node.attr)
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.Attribute)
        and dotted(node.value) in ("os", "signal")
        and node.attr in POSIX_ONLY
    }
    assert used == USES_POSIX


@pytest.mark.parametrize("file", ["nas/front/_verify_worker.py"])
def test_files_are_verified_by_their_runtime_and_numpy_alone(file: str) -> None:
    allowed = set(sys.stdlib_module_names) | {"numpy", "onnxruntime", "openvino"}
    assert {name for _, name in imported(file)} <= allowed


def test_files_are_short() -> None:
    assert not [file for file in FILES if len(text(file).splitlines()) > LONGEST_FILE]


def test_functions_are_short() -> None:
    """Signature and statements: what a docstring explains does not count."""
    assert not [
        f"{file}:{node.lineno} {node.name}"
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and num_lines(node) - num_lines_of_docstring(node) > LONGEST_FUNCTION
    ]


def test_every_module_says_what_it_is_for() -> None:
    silent = [file for file in FILES if text(file).strip() and not ast.get_docstring(tree(file))]
    assert not silent


def test_only_workers_print() -> None:
    files = [file for file in FILES if not file.endswith(PRINTS)]
    assert not [f"{f}:{line}" for f in files for line, name in calls(f) if name == "print"]


def test_no_function_ends_the_process_or_seeds_all_of_it() -> None:
    """Commands and workers alone do: a program may search twice, and go on."""
    ends = {"sys.exit", "os._exit", "exit", "quit", "SystemExit"}
    seeds = {
        "torch.manual_seed",
        "random.seed",
        "np.random.seed",
        "torch.use_deterministic_algorithms",
    }
    files = [f for f in FILES if not f.startswith("nas/cli/") and not f.endswith(PRINTS)]
    assert not [
        f"{f}:{line}"
        for f in files
        for line, name in calls(f)
        if name in ends | seeds and (f, name) != TAKES_BACK
    ]


def test_one_module_knows_devices_by_their_names() -> None:
    """All others are told one, or ask a tensor where it is."""
    named = [
        f"{file}:{node.lineno}"
        for file in FILES
        if file not in KNOWS_DEVICES | KNOWS_PROVIDERS
        for node in nodes(file)
        if (isinstance(node, ast.Constant) and node.value in ACCELERATORS)
        or (isinstance(node, ast.Attribute) and dotted(node).startswith(OF_ACCELERATORS))
        or (isinstance(node, ast.Attribute) and node.attr in ("cuda", "is_cuda"))
    ]
    assert not named


def test_commands_print_through_one_door() -> None:
    """It keeps names from steering the terminal."""
    files = [file for file in FILES if file not in ("nas/cli/console.py", "nas/cli/app.py")]
    assert not [f"{f}:{line}" for f in files for line, name in calls(f) if name.startswith(ECHOES)]


def test_no_advice_installs_a_package_that_anyone_could_register() -> None:
    """Ours is on no index: it is installed from a checkout."""
    texts = [*map(text, FILES), *(page.read_text() for page in ROOT.glob("docs/*.md"))]
    assert not [line for line in texts if "install pareto-nas" in line or "'pareto-nas[" in line]


def test_nothing_is_pickled_or_evaluated() -> None:
    modules = [(f, line, name) for f in FILES for line, name in imported(f)]
    assert not [where for where in modules if where[2] in FORBIDDEN_MODULES]
    named = [(f, line, name) for f in FILES for line, name in calls(f)]
    assert not [
        (file, line, name)
        for file, line, name in named
        if name in FORBIDDEN_CALLS and (file, name) != READS_TENSORS
    ]


def test_a_plug_in_that_is_one_new_file_is_tested() -> None:
    """Every registry is gone through by a contract test."""
    registries = {
        target.id
        for file in FILES
        for node in nodes(file)
        if isinstance(node, ast.Assign)
        and isinstance(node.value, ast.Call)
        and dotted(node.value.func) == "Registry"
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    contracts = "".join(
        file.read_text(encoding="utf-8") for file in (ROOT / "tests/contracts").glob("test_*.py")
    )
    assert len(registries) >= 6
    assert not [
        name for name in registries if f"{TESTED_THROUGH.get(name, name)}.names()" not in contracts
    ]


def test_every_operator_is_declared_and_implemented_under_one_name() -> None:
    assert OPERATORS.names() == sorted(BLOCKS.names() + MIXERS.names())
    assert CHANNEL_PARTS.names() == ELASTIC_CHANNEL_PARTS.names()
    assert CHANNEL_ATTENTIONS.names() == CHANNEL_ATTENTION_LAYERS.names()
    assert TRUNK.names() == TRUNK_BLOCKS.names()
    assert not set(TRUNK.names()) & set(OPERATORS.names())


def test_every_norm_is_declared_and_implemented_under_one_name() -> None:
    assert NORMS.names() == NORM_LAYERS.names()


def test_every_format_is_declared_and_implemented_under_one_name() -> None:
    assert FORMATS.names() == QUANTIZATIONS.names()


def test_every_task_is_declared_and_implemented_under_one_name() -> None:
    assert TASKS.names() == LOSSES.names()


def test_metrics_of_a_task_are_named_in_its_own_file_alone() -> None:
    """The rest asks the task; a plug-in's metrics are shown as ours are."""
    own = {f"{stem_of(name)}.py" for name in TASKS.names()}
    names = {task_of(name).loss.name for name in TASKS.names()}
    named = [
        f"{file}:{node.lineno}"
        for file in FILES
        if Path(file).name not in own and room_of(file) != "testing"
        for node in nodes(file)
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert not named


def test_no_format_is_known_by_its_name_outside_of_its_own_files() -> None:
    """Formats are asked what they are."""
    own = {f"{stem}.py" for stem in FORMATS.names()}
    compared = [
        f"{file}:{node.lineno}"
        for file in FILES
        if Path(file).name not in own
        for node in nodes(file)
        if isinstance(node, ast.Compare)
        for part in ast.walk(node)
        if isinstance(part, ast.Constant) and part.value in FORMATS.names()
    ]
    assert not compared


def test_tests_mirror_the_packages() -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir()}
    assert folders - {"__pycache__"} == {*ALLOWED, "contracts", "golden"}
    rooms = {path.name for path in (ROOT / "tests/nas").iterdir() if path.is_dir()}
    assert rooms - {"__pycache__"} <= set(ROOMS) - {FLOWS}
    assert not list((ROOT / "tests").rglob("__init__.py")), "would shadow the real packages"
