"""What an agent (`nas agent`, on another device) and a target that asks it agree on.

HTTP/1.0, a connection per request. Every request has `Authorization: Bearer TOKEN`; without the
right one nothing is read further. Bodies are JSON but for files. DIGEST is a SHA-256 in
hexadecimal digits, KEY that of a job.

    GET    /v1/about         what times there: `Device`, and how many bytes are kept
    PUT    /v1/files/DIGEST  an ONNX file that stands alone (`_onnx_wire.py`), kept by its digest;
                             507 where it cannot be written
    POST   /v1/jobs          a `Job`: begins it; or {"missing": [DIGEST]}, of files to send first
    GET    /v1/jobs/KEY      waits up to 15 s; {"state": "running"}, or "done" and `answer`
    DELETE /v1/jobs/KEY      the answer has arrived and can be forgotten

One job runs at a time, and meanwhile nothing else is taken (503): sending files would disturb it.
The key says what is measured and not for how long, so who comes back after a lost connection, even
as another process, finds its job; answers that nobody fetched are kept for ten minutes.

An answer has `device` and, of a job of the kind

- "time": `files`, per file a row of `_worker.py` or `error`, and `conditions`, those of
  `nas.targets._conditions.Block`, on the device;
- "kernels": `integer_kernels` and `nodes`, as `NodeTime`, or `error`;

or `failure`, why there is none.
"""

import hashlib
import json
import os
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Self, final

from nas.system.typed import from_document
from nas.targets._chosen import MOST_BATCH, MOST_THREADS
from search_spaces import UserError

PROTOCOL = 1
DEFAULT_PORT = 8477
TIME, KERNELS = "time", "kernels"
WAIT_S = 15.0
MOST_FILES, MOST_SEED = 1024, 2**31
MOST_BUDGET_S = 600.0
LEAST_TOKEN = 16

TOKEN, TOKEN_FILE = "NAS_AGENT_TOKEN", "NAS_AGENT_TOKEN_FILE"
"""Variables of the environment, on both sides."""

DIGEST = re.compile(r"[0-9a-f]{64}")
LABEL = "[A-Za-z0-9_-]{1,63}"
ADDRESS = re.compile(rf"({LABEL}(?:\.{LABEL})*\.?|\[[0-9A-Fa-f:.]+\]):([0-9]{{1,5}})")


@final
@dataclass(frozen=True, kw_only=True)
class Device:
    """What times files elsewhere, in the words of `Timing`.

    Attributes:
        runtime: Name of the runtime.
        version: Its version.
        cpu: Model name of the processor.
        instruction_set: Best 8-bit instruction set that the processor offers.
        host: Name of the machine.
    """

    runtime: str
    version: str
    cpu: str
    instruction_set: str
    host: str


@final
@dataclass(frozen=True, kw_only=True)
class Job:
    """What one process does on the device.

    Attributes:
        kind: "time" or "kernels".
        files: Digests; of "kernels" one. A file that is there twice is timed twice.
        threads: Threads that one call may use.
        batch: Images per call.
        seed: Draws the order of the rounds.
        budget_s: Seconds in which rounds, or calls, begin.
        keeps_samples: Whether all samples are to come back.
    """

    kind: str
    files: tuple[str, ...]
    threads: int
    batch: int
    seed: int
    budget_s: float
    keeps_samples: bool = False

    def __post_init__(self) -> None:
        is_right = self.kind in (TIME, KERNELS) and all(
            isinstance(digest, str) and DIGEST.fullmatch(digest) for digest in self.files
        )
        is_right &= 1 <= len(self.files) <= (MOST_FILES if self.kind == TIME else 1)
        is_right &= 1 <= self.threads <= MOST_THREADS and 1 <= self.batch <= MOST_BATCH
        is_right &= 0 <= self.seed < MOST_SEED and 0.0 <= self.budget_s <= MOST_BUDGET_S
        if not is_right:
            raise ValueError("the job has a value that is out of range")

    @property
    def key(self) -> str:
        """What is measured, however long it takes."""
        content = {name: value for name, value in asdict(self).items() if name != "budget_s"}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The fields; `Job.from_json` reads them back."""
        return asdict(self)

    @classmethod
    def from_json(cls, document: Any) -> Self:
        """The job of a document.

        Raises:
            ValueError: If it is none.
        """
        if not isinstance(document, dict) or not isinstance(document.get("files"), list):
            raise ValueError("the job is no object with files")
        unknown = sorted(document.keys() - {field.name for field in fields(cls)})
        if unknown:
            raise ValueError(f"a job has no '{unknown[0]:.40}'")
        try:
            return from_document(cls, {**document, "files": tuple(document["files"])})
        except KeyError as error:
            raise ValueError(f"the job has no {error}") from error


def address_of(text: str) -> tuple[str, int]:
    """Host and port of an address.

    Raises:
        UserError: If it is none.
    """
    found = ADDRESS.fullmatch(text)
    if found is None or not 1 <= int(found[2]) <= 65_535:
        raise UserError(
            f"target 'remote': '{text}' is no address. Write HOST:PORT as the agent printed it, "
            f"such as remote:127.0.0.1:{DEFAULT_PORT} or remote:[::1]:{DEFAULT_PORT}."
        )
    return found[1].strip("[]"), int(found[2])


def given_token(file: Path | None = None) -> str | None:
    """The secret that both sides know; None if neither a file nor the environment has one.

    Args:
        file: Has it, and wins over the environment, which may have it as `NAS_AGENT_TOKEN`, or the
            path of its file as `NAS_AGENT_TOKEN_FILE`.

    Raises:
        UserError: If the file cannot be read, or it is no token.
    """
    path = file or (Path(os.environ[TOKEN_FILE]) if os.environ.get(TOKEN_FILE) else None)
    if file is None and os.environ.get(TOKEN):
        found, where = os.environ[TOKEN], TOKEN
    elif path is not None:
        where = f"'{path}'"
        try:
            found = path.read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            fact = error.strerror if isinstance(error, OSError) else "it is no text"
            raise UserError(
                f"token file {where} cannot be read: {fact}. Name one that holds the token alone."
            ) from error
    else:
        return None
    found = found.strip()
    if len(found) < LEAST_TOKEN or not found.isascii() or not found.isprintable() or " " in found:
        raise UserError(
            f"the token in {where} is no token: it must be at least {LEAST_TOKEN} printable ASCII "
            "characters without spaces. Make one with: "
            "python -c 'import secrets; print(secrets.token_urlsafe())'"
        )
    return found
