"""`nas doctor`: what works is tried, and what does not is said with what to do."""

import json

import pytest

from nas.cli.codes import FAILED, OK
from nas.inspect.doctor import _tiny_network
from nas.system.environment import version_of
from nas.targets.onnxruntime import OnnxRuntime
from search_spaces import FORMATS, UserError
from supernets.device import CPU, devices
from tests.commands import exit_code

WITHOUT = ("ray", "torch-pruning")


@pytest.fixture(autouse=True)
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """What torch-compile compiles takes longer than all the rest."""
    monkeypatch.setenv("CXX", "no-such-compiler")


def doctor(*flags: str) -> int:
    """The exit code."""
    return exit_code("doctor", *flags)


def test_everything_is_tried_and_what_is_optional_may_be_missing(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NAS_DATA", raising=False)
    monkeypatch.setattr(
        "nas.inspect.doctor.version_of", lambda name: None if name in WITHOUT else version_of(name)
    )
    code = doctor("--json")
    facts = {(f["kind"], f["name"]): f for f in json.loads(capsys.readouterr().out)}
    broken = [fact for fact in facts.values() if fact["state"] == "broken"]
    assert code == OK, broken
    for precision in FORMATS.names():
        fact = facts["format", f"{precision} on onnxruntime"]
        assert fact["about"].startswith("a tiny network takes ")
    for kind, name in (
        ("package", "torch"), ("target", "onnxruntime"), ("executor", "processes"),
        ("data set", "digit-pairs"), ("machine", "load"),
    ):  # fmt: skip
        assert facts[kind, name]["state"] == "ok"
    assert facts["peaks", "onnxruntime"]["about"].startswith(("fp32 ", "not measured yet"))
    cuda, compiled = facts["target", "onnxruntime:provider=cuda"], facts["target", "torch-compile"]
    assert cuda["state"] == "ok" or "has no CUDAExecutionProvider, but" in cuda["about"]
    assert "'no-such-compiler' is not found. Install one" in compiled["about"]
    cifar10 = facts["data set", "cifar10"]
    assert (cifar10["state"], "--data-dir" in cifar10["about"]) == ("missing", True)
    if devices() == [CPU]:
        assert facts["device", "accelerator"]["state"] == "missing"
    nni = facts["controller", "nni-tpe"]
    assert nni["state"] == "ok" or nni["about"].endswith("in the checkout of pareto-nas")
    if ("extra", "ray") in facts:  # it is installed, not only on the path
        assert facts["extra", "ray"]["about"].endswith("-e '.[ray]'")


def test_a_broken_target_is_code_1_and_says_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: OnnxRuntime) -> dict[str, str]:
        raise UserError("target 'onnxruntime' is not installed. Run: pip install onnxruntime")

    monkeypatch.setattr(OnnxRuntime, "describe", fails)
    assert doctor() == FAILED
    printed = capsys.readouterr()
    assert "target\tonnxruntime\tbroken\t" in printed.out
    assert printed.err == (
        "nas: target 'onnxruntime' is needed and broken: target 'onnxruntime' is not installed. "
        "Run: pip install onnxruntime\n"
    )


def test_a_runtime_that_fails_is_broken_whatever_it_raises(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: OnnxRuntime) -> dict[str, str]:
        raise OSError("libonnxruntime.so: undefined symbol")

    monkeypatch.setattr(OnnxRuntime, "describe", fails)
    assert doctor() == FAILED
    assert "undefined symbol. If it worked before, install it again." in capsys.readouterr().err


def test_what_compiles_every_kernel_for_seconds_is_tried_on_one_slot() -> None:
    whole = _tiny_network("fp32", is_compiled=False)
    compiled = _tiny_network("fp32", is_compiled=True)
    assert [slot.name for slot in compiled] == ["stem"]
    assert whole[0] == compiled[0]
    assert whole[-1].name == "head"
