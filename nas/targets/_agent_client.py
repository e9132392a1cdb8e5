"""The side of an agent's protocol (`_agent.py`) that asks.

Nothing is lost with a connection: whatever was going on is asked for again, for two minutes. The
agent may have been restarted meanwhile, and then gets the job once more; files that it still has
are not sent again.
"""

import http.client
import json
import logging
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, final

from nas.system.typed import from_document
from nas.targets._agent import (
    DEFAULT_PORT,
    PROTOCOL,
    TOKEN,
    TOKEN_FILE,
    WAIT_S,
    Device,
    Job,
    address_of,
    given_token,
)
from search_spaces import UserError

PATIENCE_S, RETRY_S = 120.0, 0.5
CONNECT_S, ANSWER_S = 5.0, WAIT_S + 15.0
MOST_ANSWER_BYTES = 1 << 28
MOST_ROUNDS = 3
"""Of sending files that are missing; an agent that still misses some keeps too few."""

LOST = (OSError, http.client.HTTPException)
OK, ACCEPTED, UNAUTHORIZED, UNKNOWN, TOO_LARGE, REFUSED, BUSY = 200, 202, 401, 404, 413, 422, 503
UNWRITABLE = 507

_log = logging.getLogger(__name__)
_seen: dict[str, Device] = {}
"""By address the device that this process has found there: it is waited for, and stays the same."""


class RefusedFileError(Exception):
    """The agent takes everything but this file.

    Args:
        digest: Of the file.
        reason: What the agent says.
    """

    def __init__(self, digest: str, reason: str) -> None:
        super().__init__(reason)
        self.digest, self.reason = digest, reason


class _LostError(Exception):
    """The agent cannot be reached, or the connection has broken."""


@final
class AgentClient:
    """Asks one agent.

    Args:
        address: HOST:PORT.

    Raises:
        UserError: If that is no address, or there is no token.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._host, self._port = address_of(address)
        token = given_token()
        if token is None:
            raise UserError(
                f"target 'remote:{address}' needs the token of the agent there, and neither "
                f"{TOKEN} nor {TOKEN_FILE} is set. Set {TOKEN} to what the agent printed when it "
                "began."
            )
        self._headers = {"Authorization": f"Bearer {token}"}

    def device(self) -> Device:
        """What times there; known already once this process has asked.

        Raises:
            UserError: If nothing answers, or not as an agent of this version.
        """
        if self._address in _seen:
            return _seen[self._address]
        try:
            status, found = self._asked("GET", "/v1/about")
        except _LostError as error:
            raise UserError(
                f"target 'remote:{self._address}': no agent answers ({error}). Start `nas agent` "
                "on the device and leave it running; if it listens on loopback there, forward its "
                f"port: ssh -N -L {self._port}:127.0.0.1:{DEFAULT_PORT} USER@DEVICE"
            ) from error
        self._check(status, found)
        if found.get("protocol") != PROTOCOL:
            raise UserError(
                f"target 'remote:{self._address}': the agent speaks protocol "
                f"{found.get('protocol')!r:.20}, this version {PROTOCOL}. Install the same version "
                "of pareto-nas on both sides."
            )
        _seen[self._address] = self._device(found)
        return _seen[self._address]

    def run(self, job: Job, files: Mapping[str, Path]) -> dict[str, Any]:
        """The answer to a job; sends the files that the agent lacks.

        Args:
            job: What to measure.
            files: By digest.

        Raises:
            RefusedFileError: If the agent does not take one of the files.
            UserError: If the agent refuses what is asked, or is another device than before.
            ConnectionError: If it does not answer for two minutes.
            OSError: If it cannot keep files, or what it started on the device failed.
        """
        self.device()
        lost_at: float | None = None
        num_rounds = 0
        while True:
            try:
                answer, has_sent = self._advanced(job, files)
            except _LostError as error:
                lost_at = lost_at or time.monotonic()
                self._wait_or_end(error, lost_at)
                continue
            lost_at = None
            num_rounds += has_sent
            if num_rounds > MOST_ROUNDS:
                raise UserError(
                    f"target 'remote:{self._address}': the agent keeps too few files for "
                    f"{sum(file.stat().st_size for file in files.values()):,} bytes at once. Start "
                    "it with a larger --storage-gb, or time fewer files."
                )
            if answer is not None:
                return self._checked(answer)

    def _advanced(self, job: Job, files: Mapping[str, Path]) -> tuple[dict[str, Any] | None, bool]:
        """One step towards the answer: the answer if it is there, and whether files were sent."""
        status, found = self._asked("POST", "/v1/jobs", json.dumps(job.to_json()).encode())
        if status == BUSY:
            time.sleep(RETRY_S)
            return None, False
        self._check(status, found)
        missing = found.get("missing", [])
        for digest in missing:
            if digest not in files:
                raise self._nonsense(found)
            if not self._send(digest, files[digest]):
                return None, False
        if missing:
            return None, True
        place = f"/v1/jobs/{job.key}"
        while status != UNKNOWN and found.get("state") == "running":
            status, found = self._asked("GET", place)
            self._check(status, found, UNKNOWN)
        if status == UNKNOWN:  # restarted meanwhile
            return None, False
        answer = found.get("answer")
        if not isinstance(answer, dict):
            raise self._nonsense(found)
        self._asked("DELETE", place)
        return answer, False

    def _send(self, digest: str, file: Path) -> bool:
        """Send a file; False if the agent is busy with another job."""
        place = f"/v1/files/{digest}"
        with file.open("rb") as content:
            status, found = self._asked("PUT", place, content, file.stat().st_size)
        if status == BUSY:
            time.sleep(RETRY_S)
            return False
        reason = f"{found.get('error', '')!s:.500}"
        if status == UNWRITABLE:
            raise OSError(
                f"the agent at {self._address} keeps no files: {reason}. Make room on the device, "
                "or start it there with another --folder"
            )
        if status == TOO_LARGE:
            raise RefusedFileError(
                digest, f"file '{digest}': {reason}. Start the agent with a larger --storage-gb."
            )
        if status == REFUSED:
            raise RefusedFileError(digest, reason)
        self._check(status, found)
        return True

    def _asked(
        self, method: str, place: str, body: Any = None, num_bytes: int | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Status and document of one request.

        Raises:
            _LostError: If there is no answer.
        """
        connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S)
        length = {} if num_bytes is None else {"Content-Length": str(num_bytes)}
        try:
            connection.connect()
            connection.sock.settimeout(ANSWER_S)
            with suppress(BrokenPipeError, ConnectionResetError):  # refused before all was sent
                connection.request(method, place, body, {**self._headers, **length})
            response = connection.getresponse()
            content = response.read(MOST_ANSWER_BYTES)
        except LOST as error:
            raise _LostError(str(error) or type(error).__name__) from error
        finally:
            connection.close()
        try:
            found = json.loads(content or b"{}")
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise self._nonsense(content[:80])
        return response.status, found

    def _check(self, status: int, found: Mapping[str, Any], *allowed: int) -> None:
        """Refuse what is neither a success nor allowed."""
        if status in (OK, ACCEPTED, *allowed):
            return
        if status == UNAUTHORIZED:
            raise UserError(
                f"target 'remote:{self._address}': the agent there has another token. Set {TOKEN} "
                "to what it printed when it began."
            )
        if status == BUSY:
            raise UserError(f"target 'remote:{self._address}': the agent is busy. Try again.")
        raise UserError(
            f"target 'remote:{self._address}': the agent answers {status}: "
            f"{found.get('error', '')!s:.300}. Install the same version of pareto-nas on both "
            "sides."
        )

    def _checked(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """An answer of the device that was there before, and no failure."""
        if "failure" in answer:
            raise OSError(f"the agent at {self._address} says: {answer['failure']!s:.500}")
        device, before = self._device(answer.get("device")), _seen[self._address]
        if device != before:
            _seen[self._address] = device
            raise UserError(
                f"target 'remote:{self._address}' was {asdict(before)} and is {asdict(device)}. "
                "Latencies that are compared must be of one device: give the same command again "
                "once it is as it was, or begin anew."
            )
        return dict(answer)

    def _device(self, document: Any) -> Device:
        try:
            return from_document(Device, document)
        except (LookupError, TypeError, ValueError) as error:
            raise self._nonsense(document) from error

    def _nonsense(self, found: Any) -> UserError:
        return UserError(
            f"target 'remote:{self._address}': what answers there is no agent of this version: "
            f"{found!r:.80}. Install the same version of pareto-nas on both sides."
        )

    def _wait_or_end(self, error: Exception, lost_at: float) -> None:
        """Wait for the next try.

        Raises:
            ConnectionError: If there were enough of them.
        """
        waited_s = time.monotonic() - lost_at
        if waited_s > PATIENCE_S:
            raise ConnectionError(
                f"the agent at {self._address} has not answered for {waited_s:.0f} s ({error}). "
                "Start it again on the device, or forward its port again"
            ) from error
        if waited_s < RETRY_S:
            _log.warning(
                "The agent at %s does not answer (%s); waiting for it up to %.0f s.",
                *(self._address, str(error), PATIENCE_S),
            )
        time.sleep(RETRY_S)
