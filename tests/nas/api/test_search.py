"""`nas.search`: what the command does, and nothing of the process is another afterwards."""

import importlib.util
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import nas
from nas.run.config import Config, make_config
from nas.run.directory import Run, locked
from nas.system.reporter import Reporter
from search_spaces import AbstractSpace, SearchSpace
from search_spaces.toy import Toy

Flow = Callable[[Config, Path, Reporter], object]
ROOT = Path(__file__).parents[3]
IMAGES, LABELS = np.zeros((6, 8, 8), np.uint8), np.array([0, 1] * 3)


@pytest.fixture
def run_as(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Flow], None]:
    """Has another flow in place of that of a search, in an empty working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nas.api.search.build_report", lambda out: out)
    return lambda flow: monkeypatch.setattr("nas.search_flow.search", flow)


@pytest.fixture
def asked(run_as: Callable[[Flow], None]) -> list[tuple[Config, Path]]:
    """What searches were told."""
    found: list[tuple[Config, Path]] = []
    run_as(lambda config, out, _: found.append((config, out)))
    return found


def test_what_is_not_given_is_as_on_the_command_line(asked: list[tuple[Config, Path]]) -> None:
    run = nas.search(progress=False)
    assert asked == [(make_config({}), Config().default_out())]
    assert run.path == Config().default_out()


def test_every_setting_is_a_name(asked: list[tuple[Config, Path]]) -> None:
    nas.search(
        space="toy", budget="60%MACs", time="20s", trials=3, precision="fp32", sparsity=(0, 0.5),
        cache=Path("cache"), set={"steps": 3}, out="run", progress=None,
    )  # fmt: skip
    config = Config(
        space="toy", budget=("60%MACs",), time="20s", trials=3, precision=("fp32",),
        sparsity=(0.0, 0.5), cache="cache", set={"steps": 3},
    )  # fmt: skip
    assert asked == [(config, Path("run"))]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"tim": "5m"}, "unknown 'tim'. .*Did you mean 'time'"),
        ({"time": 300}, "time is 300. It must be text"),
        ({"time": "5"}, "time '5' is not a duration"),
        ({"trials": "many"}, "trials is 'many'. It must be a whole number"),
        ({"space": 3}, "space is 3. It must be a name"),
        ({"data": 3}, "data is int. It must be a name, a path, a pair of arrays"),
        ({"data": []}, "data has no image"),
        ({"data": [IMAGES]}, r"data\[0\] is ndarray. It must be a pair"),
        ({"data": [(IMAGES[0], 0), (IMAGES[0, :4], 1)]}, r"data\[1\] has an image of shape \(4, 8"),
        ({"data": [(torch.zeros(1, 8, 8), 0)]}, "'images' is float32. Images must be uint8"),
        ({"data": (IMAGES[0], LABELS)}, r"'images' has shape \(8, 8\)"),
        ({"data": (IMAGES, LABELS / 2)}, "the labels are float64"),
        ({"data": (IMAGES, [[1], [1, 2]])}, "labels cannot be made an array"),
        ({"data": (torch.zeros(2, 8, 8, requires_grad=True), [0, 1])}, "without gradients"),
    ],
)
def test_a_mistake_is_one_message_and_no_file(
    given: dict[str, Any], message: str, asked: list[tuple[Config, Path]], tmp_path: Path
) -> None:
    with pytest.raises(nas.UserError, match=message):
        nas.search(**given, out="run", progress=False)
    assert not asked
    assert not list(tmp_path.iterdir())


def test_arrays_are_kept_once_and_others_are_refused(
    asked: list[tuple[Config, Path]], tmp_path: Path
) -> None:
    pairs = [(image, label) for image, label in zip(torch.tensor(IMAGES), LABELS, strict=True)]
    for data in ((IMAGES, LABELS), (torch.tensor(IMAGES), LABELS[:, None].tolist()), pairs):
        nas.search(data=data, out="run", progress=False)
    kept = tmp_path / "run/data.npz"
    assert [config.data for config, _ in asked] == [str(kept)] * 3
    with np.load(kept) as archive:
        assert np.array_equal(archive["images"], IMAGES)
        assert np.array_equal(archive["labels"], LABELS)
    with pytest.raises(nas.UserError, match="not those of run 'run'"):
        nas.search(data=(IMAGES + 1, LABELS), out="run", progress=False)
    assert len(asked) == 3


def test_the_default_directory_of_arrays_is_named_by_what_they_hold(
    asked: list[tuple[Config, Path]],
) -> None:
    for images in (IMAGES, IMAGES, IMAGES + 1):
        nas.search(space="toy", data=(images, LABELS), progress=False)
    first, second, other = (out.name for _, out in asked)
    assert first == second != other
    assert first.startswith("toy-arrays-")


def test_of_a_search_that_is_refused_no_arrays_stay(
    run_as: Callable[[Flow], None], tmp_path: Path
) -> None:
    def refuse(config: Config, out: Path, _: Reporter) -> None:
        assert Path(config.data).is_file()
        raise nas.UserError("no network is that small.")

    run_as(refuse)
    with pytest.raises(nas.UserError, match="that small"):
        nas.search(data=(IMAGES, LABELS), out="run", progress=False)
    assert not list(tmp_path.iterdir())


def test_a_space_is_a_name_or_stands_in_a_file(asked: list[tuple[Config, Path]]) -> None:
    file = ROOT / "examples/my_space.py"
    spec = importlib.util.spec_from_file_location("my_space", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "my_space", module)
        spec.loader.exec_module(module)
        (cls,) = (v for v in vars(module).values() if getattr(v, "__module__", "") == "my_space")
        for space in (file, cls, cls(), Toy, Toy()):
            nas.search(space=space, out="run", progress=False)
    assert [config.space for config, _ in asked] == [str(file)] * 3 + ["toy"] * 2


def test_a_space_that_its_file_does_not_make_is_refused(asked: list[tuple[Config, Path]]) -> None:
    class Mine(AbstractSpace):
        def __init__(self, width: int = 8) -> None:
            self.width = width

        def build(self, **_: int) -> SearchSpace:
            raise NotImplementedError

    with pytest.raises(nas.UserError, match="Mine was given settings"):
        nas.search(space=Mine(16), progress=False)
    Mine.__module__ = "__main__"
    with pytest.raises(nas.UserError, match=r"stands in the program itself.*my_space\.py"):
        nas.search(space=Mine, progress=False)
    assert not asked


def test_threads_and_random_draws_of_torch_are_put_back(run_as: Callable[[Flow], None]) -> None:
    threads, drawn = torch.get_num_threads(), torch.get_rng_state()

    def flow(*_: object) -> None:
        torch.set_num_threads(threads + 1)
        torch.manual_seed(7)

    run_as(flow)
    nas.search(progress=False)
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_process_searches_one_after_the_other(run_as: Callable[[Flow], None]) -> None:
    order: list[tuple[int, str]] = []

    def flow(config: Config, *_: object) -> None:
        order.append((config.seed, "begins"))
        time.sleep(0.02)
        order.append((config.seed, "ends"))

    run_as(flow)
    searches = [
        threading.Thread(target=nas.search, kwargs={"seed": seed, "progress": False})
        for seed in (1, 2)
    ]
    for search in searches:
        search.start()
    for search in searches:
        search.join()
    seeds = [seed for seed, _ in order]
    assert seeds in ([1, 1, 2, 2], [2, 2, 1, 1])


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError("full"), nas.UserError("damaged")])
def test_whoever_keeps_the_error_does_not_keep_the_run(
    error: BaseException, run_as: Callable[[Flow], None]
) -> None:
    def flow(config: Config, out: Path, _: Reporter) -> None:
        run = Run.open(out, config)
        with run.phase("train"):
            raise error

    run_as(flow)
    with pytest.raises(type(error)) as kept:
        nas.search(out="run", progress=False)
    locked(Path("run")).release()
    assert kept.value is error


def test_progress_is_printed_or_told(
    run_as: Callable[[Flow], None], capsys: pytest.CaptureFixture[str]
) -> None:
    told = []

    class Told:
        def phase(self, name: str, text: str) -> None:
            told.append(name)

        def advance(self, done: int, of: int, text: str = "") -> None: ...

        def note(self, text: str) -> None:
            told.append(text)

    run_as(lambda config, out, reporter: reporter.note("hello"))
    nas.search(progress=Told())
    nas.search(progress=False)
    assert (told, capsys.readouterr().out) == (["hello", "report"], "")
    nas.search()
    assert capsys.readouterr().out.splitlines() == ["hello", "report: writing the report"]
