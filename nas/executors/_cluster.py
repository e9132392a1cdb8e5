"""A connection to Ray: to a cluster that is there, or to one of this process's own on loopback.

Ray is imported here, when it is wanted, and nowhere else before.
"""

import importlib.util
import logging
import os
import re
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from search_spaces import UserError

AUTO = "auto"
ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
REACHED_WITHIN_S = 10.0
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_worker_niceness": "0",  # 15 otherwise: any other process would slow scores and timings
}
"""Of a Ray that is started here."""

PASSED_ON = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY", "NAS_DATA")
"""Of the driver's environment, to processes on other nodes."""

INSTALL = "pip install -e '.[ray]' in the checkout of pareto-nas"


def check_address(address: str) -> None:
    """Refuse what cannot be the address of a cluster.

    Raises:
        UserError: If it is not "auto", HOST:PORT, or "" for no cluster.
    """
    if address not in ("", AUTO) and not ADDRESS.fullmatch(address):
        raise UserError(
            f"ray_address '{address}' is no address of a Ray cluster. Write auto (a node of the "
            "cluster runs on this machine) or HOST:PORT of its head, such as 10.0.0.5:6379."
        )


@contextmanager
def connected(address: str, num_cpus: int = 1) -> Iterator[Any]:
    """The package `ray`, connected; at the end what was begun here is ended.

    A process that is connected already, such as a task of a sweep, stays so and uses its cluster.

    Args:
        address: "auto" or HOST:PORT; "" for a Ray of this process's own.
        num_cpus: What a Ray of its own believes to have.

    Raises:
        UserError: If Ray is not installed, or there is none at the address.
    """
    ray = imported()
    if ray.is_initialized():
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address:
        _check_reached(address)
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        try:
            ray.init(address=address, runtime_env={"env_vars": passed_on}, **quiet)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            raise UserError(
                f"there is no usable Ray cluster at '{address}': {str(error).splitlines()[0]} "
                "This machine must be one of its nodes, with the same versions of Python and Ray. "
                "Run: ray start --address=HOST:PORT"
            ) from error
    else:
        with _on_loopback():
            ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def check_installed() -> None:
    """See that Ray is there, without importing it.

    Raises:
        UserError: If it is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError(f"Ray is not installed. Run: {INSTALL}")


def nodes(ray: Any) -> list[Mapping[str, float]]:
    """What each living node of the cluster offers: resources by name, such as "CPU"."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def imported() -> Any:
    """The package `ray`, which leaves stdout alone.

    Raises:
        UserError: If it is not installed.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    is_first = "ray" not in sys.modules
    check_installed()
    import ray
    from ray._private import worker

    if is_first:
        say = worker.print_to_stdstream

        def on_stderr(data: dict[str, Any], ignore_prefix: bool) -> None:
            """That a worker has died, Ray prints on stdout, which is for results."""
            say({**data, "is_err": True}, ignore_prefix)

        worker.print_to_stdstream = on_stderr
    return ray


@contextmanager
def _on_loopback() -> Iterator[None]:
    """A Ray that is started in this context listens on loopback only, as on Windows and macOS.

    Read by this process and by those that it starts; one that is started later is reachable again.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before
        os.environ[ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = str(int(before))


def understood_failure(error: Any) -> UserError | None:
    """What to tell the user of an exception on a node; None if it is a bug.

    Args:
        error: A `ray.exceptions.RayTaskError`.
    """
    cause = getattr(error, "cause", None)
    if isinstance(cause, UserError):
        return cause
    text = str(cause or error)
    if isinstance(cause, ImportError) or "failed to import" in text:
        return UserError(
            f"a node of the Ray cluster cannot run pareto-nas: {text.strip().splitlines()[-1]}. "
            "Install the same versions of Python, Ray and pareto-nas on every node."
        )
    return None


def _check_reached(address: str) -> None:
    """See that something listens there, for which Ray would wait for minutes.

    Raises:
        UserError: If nothing does.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        return
    try:
        place = match["host"].strip("[]"), int(match["port"])
        socket.create_connection(place, timeout=REACHED_WITHIN_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(
            f"nothing answers at ray_address '{address}': {error}. Start a cluster with "
            "`ray start --head --port=6379`, name the HOST:PORT that it prints, or leave out "
            "--ray-address for one on this machine."
        ) from error
