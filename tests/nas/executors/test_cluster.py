"""Connections to Ray: what is refused, a Ray of this process's own, and who never imports it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from nas.executors.ray import Ray
from search_spaces import UserError


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "is no address of a Ray cluster. Write auto"),
        ("head", "is no address of a Ray cluster"),
        ("127.0.0.1:1", "nothing answers at ray_address '127.0.0.1:1'"),
        ("127.0.0.1:99999", "nothing answers at ray_address '127.0.0.1:99999'"),
    ],
)
def test_a_wrong_address_is_one_message(address: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        print(Ray(ray_address=address).num_cores)


def test_without_ray_the_message_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '\.\[ray\]'"):
        Ray().check()


LOCAL = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's shell may ignore it
from nas.executors._cluster import connected, imported
imported()  # as a sweep with distributions does before it knows where it runs
with connected("") as ray:
    listening = [line.split()[1] for name in ("tcp", "tcp6")
                 for line in open(f"/proc/net/{name}").readlines()[1:] if line.split()[3] == "0A"]
    print(os.getpid(), *listening, flush=True)
    time.sleep(float(sys.argv[1]))
"""


def listening() -> set[str]:
    """Addresses on which this machine listens."""
    return {
        line.split()[1]
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
        if line.split()[3] == "0A"
    }


@pytest.mark.long
def test_a_local_ray_listens_on_loopback_only_and_ends_with_ctrl_c() -> None:
    before = listening()
    with subprocess.Popen(
        [sys.executable, "-c", LOCAL, "60"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as driver:
        assert driver.stdout is not None
        _, *found = driver.stdout.readline().split()
        new = {address for address in found if address not in before}
        children = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(driver.pid)], capture_output=True, text=True
        ).stdout.split()
        os.killpg(driver.pid, signal.SIGINT)
        driver.wait(30)
    loopback = (
        "0100007F:",
        "0000000000000000FFFF00000100007F:",
        "00000000000000000000000001000000:",
    )
    assert new
    assert all(address.startswith(loopback) for address in new)
    assert children
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


def test_other_executors_never_import_ray() -> None:
    program = (
        "import sys, nas, nas.search_flow\n"
        "from nas.executors import EXECUTORS\n"
        "[EXECUTORS.get(name) for name in EXECUTORS.names()]\n"
        "sys.exit('ray' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
