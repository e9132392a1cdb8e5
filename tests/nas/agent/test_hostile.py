"""A thousand requests that mean no good: none is served, and the agent times files afterwards."""

import hashlib
import json
import select
import socket
import threading
import time
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import pytest

from nas.agent.server import HEAD_S, MOST_OPEN
from nas.targets import Timing, choose
from nas.targets._agent import TOKEN
from nas.testing.targets import fp32_file
from tests.small_agent import TOKEN_VALUE, SmallAgent, running_agent

NUM = 1000
RIGHT = f"Authorization: Bearer {TOKEN_VALUE}\r\n"
SHA = "a" * 64
JOB = {
    "kind": "time", "files": [SHA], "threads": 1, "batch": 1, "seed": 0, "budget_s": 1.0,
    "keeps_samples": False,
}  # fmt: skip


def head(method: str, path: str, *lines: str) -> bytes:
    return "".join([f"{method} {path} HTTP/1.1\r\n", *lines, "\r\n"]).encode()


def post(document: object, *lines: str) -> bytes:
    body = json.dumps(document).encode()
    return head("POST", "/v1/jobs", *lines, f"Content-Length: {len(body)}\r\n") + body


def put(content: bytes, digest: str = "", *, says: object = None) -> bytes:
    name = digest or hashlib.sha256(content).hexdigest()
    length = len(content) if says is None else says
    return head("PUT", f"/v1/files/{name}", RIGHT, f"Content-Length: {length}\r\n") + content


REQUESTS: dict[str, bytes] = {
    "no token": head("GET", "/v1/about"),
    "wrong token": head("GET", "/v1/about", "Authorization: Bearer " + "x" * 27 + "\r\n"),
    "part of the token": head("GET", "/v1/about", RIGHT[:-4] + "\r\n"),
    "token and more": head("GET", "/v1/about", RIGHT[:-2] + "x\r\n"),
    "another scheme": head("GET", "/v1/about", f"Authorization: Basic {TOKEN_VALUE}\r\n"),
    "a token of other letters": head("GET", "/v1/about", "Authorization: Bearer \xff\xfe\r\n"),
    "a job without a token": post(JOB),
    "a file without a token": head("PUT", f"/v1/files/{SHA}", "Content-Length: 5\r\n") + b"bytes",
    "up": head("GET", "/v1/files/../../../../etc/passwd", RIGHT),
    "up, escaped": head("GET", "/v1/files/%2e%2e%2f%2e%2e%2fetc%2fpasswd", RIGHT),
    "up, to write": head("PUT", "/v1/files/../evil", RIGHT, "Content-Length: 1\r\n") + b"x",
    "an absolute place": head("PUT", "//etc/cron.d/evil", RIGHT, "Content-Length: 1\r\n") + b"x",
    "a null in a name": head("PUT", f"/v1/files/{SHA[:-1]}\0", RIGHT, "Content-Length: 1\r\n"),
    "a name in capitals": head("PUT", f"/v1/files/{SHA.upper()}", RIGHT, "Content-Length: 1\r\n"),
    "files are not read back": head("GET", f"/v1/files/{SHA}", RIGHT),
    "files are not deleted": head("DELETE", f"/v1/files/{SHA}", RIGHT),
    "wrong method": head("PATCH", "/v1/jobs", RIGHT),
    "method of a proxy": head("CONNECT", "elsewhere:443", RIGHT),
    "method of nobody": head("EVAL", "/v1/about", RIGHT),
    "options": head("OPTIONS", "*", RIGHT),
    "huge, as it says": put(b"x", SHA, says=10**14),
    "huge, beyond numbers": put(b"x", SHA, says="9" * 400),
    "less than nothing": put(b"x", SHA, says=-1),
    "no length": head("PUT", f"/v1/files/{SHA}", RIGHT),
    "in chunks": head("PUT", f"/v1/files/{SHA}", RIGHT, "Transfer-Encoding: chunked\r\n"),
    "truncated": put(b"only this", SHA, says=5000),
    "another content": put(b"not what its name says", SHA),
    "a pickle": put(b"\x80\x04\x95\x0b\x00\x00\x00"),
    "a program": put(b"import os; os.system('id')"),
    "a job as a list": post([JOB], RIGHT),
    "a job of a program": post({**JOB, "files": ["/bin/sh"]}, RIGHT),
    "a job of a file elsewhere": post({**JOB, "files": [f"../{SHA}"]}, RIGHT),
    "a job with a plug-in": post({**JOB, "plugins": ["import os"]}, RIGHT),
    "a job of an unknown kind": post({**JOB, "kind": "exec"}, RIGHT),
    "a job of many threads": post({**JOB, "threads": 10**9}, RIGHT),
    "a job for ever": post({**JOB, "budget_s": 1e300}, RIGHT),
    "a job with a truth for a number": post({**JOB, "batch": True}, RIGHT),
    "a job of no number": post({**JOB, "budget_s": float("nan")}, RIGHT),
    "a deep job": head("POST", "/v1/jobs", RIGHT, "Content-Length: 200000\r\n") + b"[" * 200_000,
    "a huge job": head("POST", "/v1/jobs", RIGHT, "Content-Length: 99999999\r\n"),
    "no json": head("POST", "/v1/jobs", RIGHT, "Content-Length: 4\r\n") + b"\xff\xfe{}",
    "a job of others": head("GET", f"/v1/jobs/{SHA}", RIGHT),
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "half a word": b"GE",
    "nothing": b"",
    "a long line": b"GET /" + b"a" * 70_000,
    "many lines": head("GET", "/v1/about", *[f"X-{i}: {i}\r\n" for i in range(200)]),
    "a long header": head("GET", "/v1/about", "X: " + "y" * 70_000 + "\r\n"),
    "zeros": bytes(3000),
    "an old version": b"GET /v1/about\r\n\r\n",
    "a version of the future": b"GET /v1/about HTTP/9.9\r\n\r\n",
}  # fmt: skip

GOOD = head("GET", "/v1/about", RIGHT)


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallAgent]:
    monkeypatch.setenv(TOKEN, TOKEN_VALUE)
    with running_agent(tmp_path / "agent", "--storage-gb", "0.01") as started:
        yield started


def answer_to(agent: SmallAgent, request: bytes) -> int | None:
    """The status; None if the connection is closed without one."""
    with socket.create_connection(("127.0.0.1", agent.port), timeout=20) as connection:
        try:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            first = connection.makefile("rb").readline(200)
        except TimeoutError:
            raise
        except OSError:  # closed before all was sent
            return None
    return int(first.split()[1]) if first.startswith(b"HTTP/") else None


def times(agent: SmallAgent, folder: Path) -> bool:
    """Whether the agent still does what it is there for."""
    target = choose(f"remote:{agent.address}").target
    (timing,) = target.time([fp32_file(folder)], threads=1, processes=1, budget_s=0.1)  # type: ignore[attr-defined]
    return isinstance(timing, Timing) and timing.median_ms > 0


def test_a_thousand_hostile_requests_are_not_served(agent: SmallAgent, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.rglob("*")}
    served = {
        name: status
        for name, request in islice(cycle(REQUESTS.items()), NUM)
        if (status := answer_to(agent, request)) is not None and status < 400
    }
    assert not served
    assert agent.process is not None
    assert agent.process.poll() is None
    assert {path.name for path in tmp_path.rglob("*")} == before
    assert times(agent, tmp_path)


def test_those_that_say_nothing_get_no_more_than_their_share_of_connections(
    agent: SmallAgent, tmp_path: Path
) -> None:
    silent = [socket.create_connection(("127.0.0.1", agent.port), timeout=20) for _ in range(60)]
    deadline = time.monotonic() + HEAD_S / 2
    for number, connection in enumerate(silent):
        if number % 2:
            try:
                connection.sendall(b"GET /v1/ab")
            except OSError:
                continue
    while sum(map(is_closed, silent)) < len(silent) - MOST_OPEN:
        assert time.monotonic() < deadline, "those that say nothing stay"
        time.sleep(0.05)
    for connection in silent:
        connection.close()
    deadline = time.monotonic() + 20
    while answer_to(agent, GOOD) != 200:
        assert time.monotonic() < deadline, "the agent does not notice who has gone"
        time.sleep(0.05)
    assert times(agent, tmp_path)


def is_closed(connection: socket.socket) -> bool:
    """By the agent, which says nothing to who has not finished."""
    return bool(select.select([connection], [], [], 0.0)[0])


def test_who_drips_is_cut_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In this process, with a patience of half a second: no byte is late, and the whole is."""
    from nas.agent import server as of_agent
    from nas.agent.jobs import Jobs
    from nas.agent.store import Store

    monkeypatch.setattr(of_agent, "HEAD_S", 0.5)
    store = Store(tmp_path / "files", 10**6)
    with of_agent.AgentServer(
        ("127.0.0.1", 0), TOKEN_VALUE, store, Jobs(store, lambda job, files: {})
    ) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            assert taken_of_a_drip(server.server_address[1]) < len(GOOD)
        finally:
            server.shutdown()
            thread.join()


def taken_of_a_drip(port: int) -> int:
    """How many bytes of a request are taken before it is cut off; its whole takes seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.settimeout(0.05)
        for number, place in enumerate(GOOD):
            try:
                connection.sendall(bytes([place]))
                if connection.recv(1) == b"":
                    return number
            except TimeoutError:
                continue
            except OSError:
                return number
    return 10**6
