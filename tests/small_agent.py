"""An agent in a process of its own, as on a device: killed and started again at will."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

TOKEN_VALUE = "a-token-of-tests-0123456789"
NOT_THERE = (
    *("torch", "onnx", "optuna", "ray", "pandas", "typer", "click", "rich", "sklearn", "scipy"),
    *("filelock", "safetensors", "PIL", "pyarrow", "threadpoolctl", "moocore", "openvino"),
)
"""What a device need not have."""

CPU, INSTRUCTION_SET = "an imagined processor", "avx2"
BLOCKED = f"import sys; sys.modules.update(dict.fromkeys({NOT_THERE!r})); "
PROGRAM = (
    f"{BLOCKED}from nas.system import environment; environment.cpu_model = lambda: {CPU!r}; "
    f"environment.instruction_set = lambda: {INSTRUCTION_SET!r}; "
    "sys.argv = ['agent', *sys.argv[1:]]; from nas.agent.__main__ import main; sys.exit(main())"
)
ROOT = Path(__file__).parents[1]


@dataclass
class SmallAgent:
    """One agent and its successors on the same port and folder.

    Attributes:
        folder: Of its files.
        port: On which it listens; any until it has begun.
        options: Further arguments.
        lines: What it said first.
    """

    folder: Path
    port: int = 0
    options: tuple[str, ...] = ()
    lines: list[str] = field(default_factory=list)
    process: "subprocess.Popen[str] | None" = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        words = [sys.executable, "-c", PROGRAM, "--port", str(self.port)]
        words += ["--folder", str(self.folder), *self.options]
        environment = {**os.environ, "NAS_AGENT_TOKEN": TOKEN_VALUE, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            words, stdout=subprocess.PIPE, text=True, env=environment, cwd=self.folder.parent
        )
        assert self.process.stdout is not None
        self.lines = [self.process.stdout.readline().strip() for _ in range(2)]
        self.port = int(self.lines[1].rpartition(":")[2])

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None


@contextmanager
def running_agent(folder: Path, *options: str) -> Iterator[SmallAgent]:
    """An agent that listens."""
    agent = SmallAgent(folder, options=options)
    agent.start()
    try:
        yield agent
    finally:
        agent.kill()
