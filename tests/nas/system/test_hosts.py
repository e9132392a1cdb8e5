"""Whether measurements of several machines compare."""

from nas.system.environment import this_host
from nas.system.hosts import host_of_timing, unlike


def test_alike_hosts_and_unknown_ones_are_not_mentioned() -> None:
    first, second = dict(this_host()), {**this_host(), "name": "other"}
    assert unlike("scores", [first, first, second, {}]) == ""


def test_unlike_hosts_are_named_with_what_differs() -> None:
    here = {**this_host(), "name": "a"}
    there = {**this_host(), "name": "b", "cpu": "Another 9000"}
    said = unlike("scores", [here, there, {**there, "name": "c"}])
    assert said.startswith("scores come from unlike hosts and do not quite compare: ")
    assert "b, c: Another 9000" in said
    assert f"a: {here['cpu']}" in said
    latency = {"cpu": "x", "instruction_set": "avx2", "runtime": "onnxruntime", "version": "1.2"}
    older = {**latency, "version": "1.1", "host": "d"}
    said = unlike("latencies", map(host_of_timing, [latency, older]))
    assert "d: x avx2 onnxruntime 1.1; unknown: x avx2 onnxruntime 1.2" in said
