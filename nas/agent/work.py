"""What jobs do on the device: time files by the one protocol, or count and time their nodes.

onnxruntime reads files of others in processes of their own: one that brings a process down, or
never ends, leaves the agent as it was.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from nas.system.environment import this_machine
from nas.targets import choose
from nas.targets._agent import KERNELS, Device, Job
from nas.targets._conditions import watched
from nas.targets._timing import run_process
from search_spaces import CandidateError
from supernets._search_path import search_path

RUNTIME = "onnxruntime"
KERNELS_PATIENCE_S = 120.0
_WORKER_COMMAND = (sys.executable, "-m", "nas.agent._worker")


def this_device() -> Device:
    """What times here.

    Raises:
        UserError: If onnxruntime is not installed.
    """
    return Device(**choose(RUNTIME).target.describe(), **this_machine())


def answer(job: Job, files: Sequence[Path]) -> dict[str, Any]:
    """The answer to a job, as `nas/targets/_agent.py` says.

    Raises:
        RuntimeError: If a process hangs, or dies for a reason that no file explains.
    """
    found = _kernels(job, files[0]) if job.kind == KERNELS else _timed(job, files)
    return {"device": asdict(this_device()), **found}


def _timed(job: Job, files: Sequence[Path]) -> dict[str, Any]:
    of_process = {
        "target": f"{RUNTIME}:threads={job.threads},batch={job.batch}",
        "plugins": [],
        "seed": job.seed,
        "budget_s": job.budget_s,
        "keeps_samples": job.keeps_samples,
    }
    rows: dict[int, Any] = {}
    block = watched(lambda: rows.update(run_process(of_process, dict(enumerate(files)))))
    return {
        "files": [_row(rows[number], file) for number, file in enumerate(files)],
        "conditions": asdict(block),
    }


def _row(found: Any, file: Path) -> Mapping[str, Any]:
    if isinstance(found, CandidateError):
        return {"error": _without_folder(str(found), file)}
    return dict(found)


def _kernels(job: Job, file: Path) -> dict[str, Any]:
    asked = {
        "target": RUNTIME,
        "file": str(file),
        **{"threads": job.threads, "batch": job.batch, "budget_s": job.budget_s},
    }
    try:
        done = subprocess.run(
            _WORKER_COMMAND,
            input=json.dumps(asked),
            capture_output=True,
            text=True,
            env={**os.environ, **search_path()},
            timeout=KERNELS_PATIENCE_S + job.budget_s,
        )
    except subprocess.TimeoutExpired:
        return {"error": f"file '{file.stem}' kept a process for {KERNELS_PATIENCE_S:.0f} s"}
    if done.returncode:
        code = done.returncode
        return {"error": f"file '{file.stem}' ended the process that loaded it, with code {code}"}
    found: dict[str, Any] = json.loads(done.stdout)
    if "error" in found:
        return {"error": _without_folder(found["error"], file)}
    return found


def _without_folder(text: str, file: Path) -> str:
    """Where files lie here is nobody else's business."""
    return text.replace(str(file), file.stem)
