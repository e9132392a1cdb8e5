"""The agent's side of the protocol in `nas/targets/_agent.py`, for any who may connect.

Whoever has not the token gets nothing read but the head of a request. Time, bytes and connections
are bounded: a head must arrive within ten seconds, a file at 50 kB/s at least, and at most 32
requests are open; more are closed at once. Names in addresses are digests and nothing else.
"""

import hashlib
import hmac
import io
import json
import logging
import re
import socket
import socketserver
import threading
import time
from collections.abc import Mapping
from dataclasses import asdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final

from nas.agent.jobs import Jobs, MissingError
from nas.agent.store import BusyError, RefusedError, Store, TooLargeError, UnwritableError
from nas.agent.work import this_device
from nas.targets._agent import PROTOCOL, WAIT_S, Job

MOST_OPEN = 32
HEAD_S, SILENCE_S = 10.0, 10.0
LEAST_BYTES_PER_S = 50_000
MOST_JOB_BYTES = 256 * 1024
MOST_DISCARDED_BYTES, DISCARD_S = 1 << 20, 1.0
"""Of a request that is refused: so that its sender reads why."""

PLACE = re.compile(r"/v1/(about|jobs|(files|jobs)/([0-9a-f]{64}))")

_log = logging.getLogger(__name__)
_Reply = tuple[int, Mapping[str, Any]]


class _Paced(io.RawIOBase):
    """What arrives at a socket, until a deadline, never waiting long for the next byte."""

    def __init__(self, connection: socket.socket, seconds: float) -> None:
        self._connection = connection
        self._deadline = time.monotonic() + seconds

    def extend(self, seconds: float) -> None:
        """Move the deadline to so many seconds from now."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left_s = self._deadline - time.monotonic()
        if left_s <= 0.0:
            raise TimeoutError("the request took too long")
        self._connection.settimeout(min(SILENCE_S, left_s))
        return self._connection.recv_into(buffer)


@final
class AgentServer(ThreadingHTTPServer):
    """Listens, and hands each request to a thread of its own.

    Args:
        address: Host and port.
        token: What requests must have.
        store: Of files.
        jobs: On them.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], token: str, store: Store, jobs: Jobs) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.store, self.jobs = store, jobs
        self._proof = _digest(f"Bearer {token}")
        self._places = threading.BoundedSemaphore(MOST_OPEN)
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """As that of its base, which would also ask a name server who we are."""
        socketserver.TCPServer.server_bind(self)

    def lets_in(self, authorization: str) -> bool:
        """Whether a request may be read further; takes as long for any wrong token."""
        return hmac.compare_digest(_digest(authorization), self._proof)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Start a thread, or close the connection where there are too many."""
        if not self._places.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._places.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """The thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke, mostly."""
        _log.debug("request of %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: AgentServer
    server_version, sys_version = "nas-agent", ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = "text/plain"

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._paced = _Paced(self.connection, HEAD_S)
        self.rfile = io.BufferedReader(self._paced)

    def _serve(self) -> None:
        status, document = self._reply()
        content = json.dumps(document).encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.connection.settimeout(SILENCE_S)
        self.wfile.write(content)
        if status >= 400:
            self._discard()

    do_GET = do_PUT = do_POST = do_DELETE = _serve

    def log_message(self, format: str, *args: Any) -> None:
        _log.debug(format, *args)

    def _reply(self) -> _Reply:
        if not self.server.lets_in(self.headers.get("Authorization", "")):
            return 401, {"error": "the token is wrong or missing"}
        place = PLACE.fullmatch(self.path)
        if place is None:
            return 404, {"error": "there is nothing of that name"}
        whole, kind, key = place.groups()
        try:
            match self.command, kind or whole:
                case "GET", "about":
                    return 200, {"protocol": PROTOCOL, **asdict(this_device())}
                case "PUT", "files":
                    return self._receive(key)
                case "POST", "jobs" if not key:
                    return self._start()
                case "GET", "jobs" if key:
                    return self._wait(key)
                case "DELETE", "jobs" if key:
                    self.server.jobs.forget(key)
                    return 200, {}
        except _RequestError as error:
            return error.status, {"error": str(error)}
        return 405, {"error": "that is not done here"}

    def _receive(self, digest: str) -> _Reply:
        store = self.server.store
        num_bytes = self._length(store.most_bytes_of_a_file)
        self._paced.extend(HEAD_S + num_bytes / LEAST_BYTES_PER_S)
        try:
            store.receive(digest, num_bytes, self.rfile.read1)
        except BusyError as error:
            return 503, {"error": str(error)}
        except TooLargeError as error:
            return 413, {"error": str(error)}
        except RefusedError as error:
            return 422, {"error": str(error)}
        except UnwritableError as error:
            return 507, {"error": f"what arrives cannot be written: {error}"}
        return 200, {}

    def _start(self) -> _Reply:
        self._paced.extend(HEAD_S)
        try:
            job = Job.from_json(json.loads(self.rfile.read(self._length(MOST_JOB_BYTES))))
        except (ValueError, RecursionError) as error:
            return 400, {"error": f"that is no job: {error!s:.200}"}
        try:
            is_done = self.server.jobs.start(job)
        except BusyError as error:
            return 503, {"error": str(error)}
        except MissingError as error:
            return 200, {"missing": error.digests}
        return 202, {"state": "done" if is_done else "running"} | self._answer(job.key, 0.0)

    def _wait(self, key: str) -> _Reply:
        try:
            return 200, {"state": "running"} | self._answer(key, WAIT_S)
        except KeyError:
            return 404, {"error": "there is no such job"}

    def _answer(self, key: str, seconds: float) -> dict[str, Any]:
        found = self.server.jobs.wait(key, seconds)
        return {} if found is None else {"state": "done", "answer": found}

    def _length(self, most: int) -> int:
        """How long the body is.

        Raises:
            _RequestError: If it is not said, or too long.
        """
        text = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not re.fullmatch("[0-9]{1,15}", text):
            raise _RequestError(411, "the length of the body is not said")
        if int(text) > most:
            raise _RequestError(413, f"the body has {int(text):,} bytes, and {most:,} are allowed")
        return int(text)

    def _discard(self) -> None:
        """Read on for a moment: closing with bytes unread would take the answer back."""
        self._paced.extend(DISCARD_S)
        left = MOST_DISCARDED_BYTES
        try:
            self.connection.shutdown(socket.SHUT_WR)
            while left > 0 and (chunk := self.rfile.read1(left)):
                left -= len(chunk)
        except OSError:
            return


class _RequestError(Exception):
    """A request that cannot be read.

    Args:
        status: Of HTTP.
        reason: Why.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
