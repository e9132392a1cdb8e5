"""Targets with options: one text each, wrong ones refused, and the calls are what the text says."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, final

import pytest

from nas.executors import make_timer
from nas.run.config import Config, make_config
from nas.targets import TARGETS, AbstractDevice, AbstractRuntime, Timing, choose, measure
from nas.testing.targets import fp32_file
from search_spaces import UserError


@final
@dataclass(frozen=True, kw_only=True)
class Board(AbstractRuntime):
    """A runtime with options of its own."""

    clock: float = 1.5
    is_cooled: bool = False
    core: str = "big"

    kernels: ClassVar = frozenset({"float32"})

    def prepare(self, file: Path, *, threads: int, batch: int) -> Callable[[], None]:
        return lambda: None

    def describe(self) -> dict[str, str]:
        return {"runtime": "board", "version": "1"}

    def integer_kernels(self, file: Path) -> int:
        return 0


class Phone(AbstractDevice):
    """A device, which decides itself how many images a call has."""


@pytest.fixture(autouse=True)
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TARGETS._classes, "board", Board)
    monkeypatch.setitem(TARGETS._classes, "phone", Phone)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("board", "board"),
        ("board:threads=1,batch=1,clock=1.5,core=big", "board"),
        ("board: batch=8 , threads=2", "board:threads=2,batch=8"),
        ("board:core=small,is_cooled=true,clock=2", "board:clock=2,is_cooled=true,core=small"),
    ],
)
def test_a_target_has_one_text(text: str, canonical: str) -> None:
    assert choose(text).text == canonical
    assert choose(canonical) == choose(text)


@pytest.mark.parametrize(
    ("text", "of_one_image"),
    [
        ("board:batch=8,threads=2,clock=2", "board:threads=2,clock=2"),
        ("remote:[::1]:8477,threads=2,batch=8", "remote:[::1]:8477,threads=2"),
    ],
)
def test_a_target_of_one_image_is_the_same_otherwise(text: str, of_one_image: str) -> None:
    assert choose(text).of_one_image() == choose(of_one_image)


def test_own_options_are_fields_of_the_target() -> None:
    found = choose("board:core=small,threads=2")
    assert found.target == Board(core="small")
    assert (found.options, found.threads, found.batch) == ("core=small", 2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bored:threads=2", "Did you mean 'board'"),
        ("threads=2", "name and a colon belong. Did you mean 'onnxruntime:threads=2'"),
        ("board,threads=2,batch=4", "Did you mean 'board:threads=2,batch=4'"),
        ("board:", "'' is no option. Write name=value"),
        ("board:threads", "Write name=value"),
        (
            "board:thread=2",
            r"no option 'thread'. Known: batch, clock, core.*Did you mean 'threads'",
        ),
        ("board:threads=0", "threads is '0'. It must be a whole number from 1 to 1024"),
        ("board:batch=x", "batch is 'x'. It must be a whole number from 1 to 65536"),
        ("board:batch=2.5", "batch is '2.5'"),
        ("board:threads=2,threads=3", "'threads' is given twice"),
        ("board:is_cooled=1", "is_cooled is '1'. It must be true or false"),
        ("phone:batch=2", "no option 'batch'. Known: threads"),
    ],
)
def test_what_is_no_option_is_refused(
    text: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Phone, "__abstractmethods__", frozenset())
    with pytest.raises(UserError, match=message):
        choose(text)


def test_the_configuration_has_the_one_text_and_says_threads_once() -> None:
    assert make_config({"target": "onnxruntime:threads=1"}).digest == Config().digest
    assert make_config({"target": "board:batch=8,threads=2"}).target == "board:threads=2,batch=8"
    with pytest.raises(UserError, match="both say how many threads"):
        make_config({"target": "board:threads=2", "timing_threads": 2})


def test_calls_are_of_the_batch_and_the_record_says_so(tmp_path: Path) -> None:
    file = fp32_file(tmp_path)
    timer = make_timer(Config(executor="inline"), "onnxruntime:batch=64")
    (many,) = timer([file], processes=1, budget_s=0.1)
    (one,) = measure("onnxruntime", [file], processes=1, budget_s=0.1)
    assert isinstance(one, Timing)
    assert isinstance(many, Timing)
    assert (one.batch, many.batch, many.threads) == (1, 64, 1)
    assert many.median_ms > 1.5 * one.median_ms  # of 64 times the work, beside other tests
    assert "options" not in many.to_json()
    assert Timing.from_json(many.to_json()) == many
