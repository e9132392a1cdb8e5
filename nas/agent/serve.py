"""An agent from its start to its end."""

import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import final

from nas.agent.jobs import Jobs
from nas.agent.server import AgentServer
from nas.agent.store import Store
from nas.agent.work import answer, this_device
from nas.system.environment import num_cores
from nas.targets._agent import DEFAULT_PORT, LEAST_TOKEN, TOKEN, given_token
from search_spaces import UserError

MADE_TOKEN = "token"
GB = 10**9


@final
@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an agent runs.

    Attributes:
        host: Address of this machine on which it listens.
        port: There; 0 for any that is free.
        folder: For files that arrive.
        storage_gb: Of these files.
        token_file: Has the token; the environment, or one that is made, if None.
    """

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    folder: Path = Path("runs/agent")
    storage_gb: float = 4.0
    token_file: Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise UserError(f"nas agent: port is {self.port}. It must be from 0 to 65535.")
        if not 0.001 <= self.storage_gb <= 1e6:
            raise UserError(
                f"nas agent: storage is {self.storage_gb} GB. It must be from 0.001 to 1000000."
            )


def serve(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve until interrupted.

    Args:
        settings: How.
        say: Tells the user a line.

    Raises:
        UserError: If onnxruntime is missing, or it cannot listen there.
    """
    device = this_device()
    store = Store(settings.folder, int(GB * settings.storage_gb))
    token = given_token(settings.token_file)
    made = token is None
    token = token or _made_token(settings.folder / MADE_TOKEN)
    os.environ.pop(TOKEN, None)  # processes that load files of others need not know it
    os.environ["ORT_LOAD_CONFIG_FROM_MODEL"] = "0"
    try:
        server = AgentServer((settings.host, settings.port), token, store, Jobs(store, answer))
    except OSError as error:
        raise UserError(
            f"nas agent cannot listen on {settings.host} port {settings.port}: {error.strerror}. "
            "Name an address of this machine with --host and a free --port."
        ) from error
    with server:
        host, port = server.server_address[:2]
        name = f"[{host!s}]" if ":" in str(host) else str(host)
        say(
            f"{device.runtime} {device.version} on {device.cpu} ({device.instruction_set}), "
            f"{num_cores()} cores, host {device.host}"
        )
        say(f"listening on {name}:{port}")
        if made:
            say(f"token, kept in {settings.folder / MADE_TOKEN}: {token}")
        if not _is_loopback(settings.host):
            say(
                "what is sent is not encrypted, the token neither: listen on 127.0.0.1 and forward "
                "the port with ssh, unless you trust everybody on this network"
            )
        server.serve_forever(poll_interval=0.5)


def _made_token(file: Path) -> str:
    """The token of this folder, made at the first start, so that clients outlast a restart.

    Raises:
        UserError: If the file has something else.
    """
    try:
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as new:
            new.write(f"{secrets.token_urlsafe(2 * LEAST_TOKEN)}\n")
    except FileExistsError:
        pass
    except OSError:
        with suppress(OSError):
            file.unlink()  # or an empty one would be refused at the next start
        raise
    found = given_token(file)
    assert found is not None
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
