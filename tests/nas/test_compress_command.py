"""`nas compress` from a user's file to verified files, and what it refuses."""

import json
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import nas
from nas.cli.app import main
from nas.data import load_data
from nas.finetune import named
from nas.front.card import read_card
from nas.prepare.brought import _brought, in_words
from nas.prepare.inputs import prepare
from nas.prepare.reopen import reopened
from nas.prepare.sizing import decide_sizes
from nas.run.config import Config, make_config
from nas.run.directory import read_front
from nas.run.own_files import BROUGHT
from nas.search_flow import search
from nas.standalone.train import NETWORK
from nas.system.files import read_json, read_lines
from nas.system.reporter import Silent
from reports import gain_lines, load_run, parts_picture
from search_spaces import UserError
from tests.conftest import TOY, time_in_two_processes
from tests.small_run import stopped

ROOT = Path(__file__).parents[2]
STOPS = (
    "nas.search_flow.train_within_drop",
    "nas.finalists.rounds._in_words",
    "nas.search_flow.finish",
)
"""Where a search is stopped: it has its trials, it knows whom to train on, it has trained them."""
SOURCE = """
import torch
from torch import nn

class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)
        self.conv2, self.norm2 = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width)

    def forward(self, x):
        y = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(x + self.norm2(self.conv2(y)))

def small(classes=10):
    stem = nn.Sequential(nn.Conv2d(1, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
    body = Block(16), Block(16), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    return nn.Sequential(stem, *body, nn.Linear(16, classes))

def seven():
    return small(7)

def says():
    network = small()
    network.default_cfg = {"input_size": (1, 16, 16), "mean": (0.5,), "std": (0.25,)}
    return network

def thousand():
    return small(1000)

def needs(width):
    return small()

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = small()

class Detector(Odd):
    def forward(self, x):
        return [{"boxes": self.inner(x)}]

class Pair(Odd):
    def forward(self, x, mask):
        return self.inner(x * mask)

class Branches(Odd):
    def forward(self, x):
        return self.inner(x) if x.mean() > 0 else self.inner(-x)

detector, pair, branches = Detector, Pair, Branches
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    (folder / "mine.py").write_text(SOURCE)
    torch.manual_seed(0)
    namespace: dict = {}
    exec(SOURCE, namespace)
    save_file(namespace["small"]().state_dict(), folder / "small.safetensors")
    return folder


@pytest.fixture(scope="module")
def config(model: Path) -> Config:
    return replace(
        TOY,
        space="hybrid",
        model=f"{model / 'mine.py'}:small",
        weights=str(model / "small.safetensors"),
        sparsity=(0.0, 0.25, 0.5),
        budget=("80%MACs",),
        max_drop="100%",
        set={**TOY.set, "allocation": "distortion"},
    )


@pytest.fixture(scope="module")
def run(config: Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished search that was stopped three times; what there was each time lies beside it."""
    path = tmp_path_factory.mktemp("compressed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        time_in_two_processes(patch)
        for place in STOPS:
            with stopped(patch, place):
                search(config, path, Silent())
            shutil.copytree(path, path.with_name(place))
        search(config, path, Silent())
    return path


@pytest.fixture(autouse=True)
def as_a_new_process() -> Iterator[None]:
    """Files of models are read anew."""
    yield
    _brought.cache_clear()


def test_its_front_is_of_smaller_versions_of_the_network(run: Path) -> None:
    front = read_front(run)
    space = read_json(run / "space.json")
    (brought,) = {row["name"] for row in front["references"] if row["name"] == "brought fp32"}
    assert brought
    names = [c["name"] for c in space["choices"]]
    assert [n for n in names if not n.endswith(("sparsity", "precision"))] == ["1.depth"]
    assert all(map(parts_picture.parts_of, load_run(run).members))
    limit = 0.8 * read_json(run / "plan.json")["limits"][0]["largest"]
    for key in front["members"]:
        card = read_card(run / "front" / key / "card.json")
        assert card["macs"] <= limit
        parity = card["files"]["model.onnx"].get("parity", {"same_answer": 1.0})  # none of twins
        assert parity["same_answer"] >= 0.99


def test_its_first_trials_are_what_an_allocation_gives_for_the_budget(run: Path) -> None:
    starts = [row["encoding"] for row in read_json(run / "starts.json")["starts"]]
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text().splitlines()]
    assert 1 <= len(starts) <= len(trials) // 2
    assert [trial["encoding"] for trial in trials[: len(starts)]] == starts
    assert read_json(run / "search_plan.json")["allocation"] == "distortion"


def test_members_load_without_the_users_code(run: Path, model: Path, tmp_path: Path) -> None:
    key = read_front(run)["members"][0]
    code = (
        "import sys, torch, nas; network = nas.load(sys.argv[1]); "
        "print(tuple(network(torch.zeros(2, 1, 16, 16)).shape))"
    )
    file = run / "front" / key / "model.safetensors"
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "(2, 10)", done.stderr
    assert nas.open(run).best().key in read_front(run)["members"]


def test_a_search_that_is_stopped_continues(run: Path) -> None:
    searched, decided, trained = (run.with_name(place) for place in STOPS)
    for name in ("trials.jsonl", "supernet.safetensors"):
        kept = (searched / name).read_bytes()
        assert (trained / name).read_bytes() == (run / name).read_bytes() == kept
    kept = (decided / "recovery.json").read_bytes()
    assert (trained / "recovery.json").read_bytes() == kept
    rounds = [file.relative_to(decided) for file in decided.glob(f"finetunes/*/round*/{NETWORK}")]
    assert {file.parent.name for file in rounds} == {"round1"}
    for file in rounds:
        final = trained / file.parents[1] / NETWORK
        assert final.exists()
        later = trained / file if (trained / file).exists() else final
        assert later.read_bytes() == (decided / file).read_bytes()


def test_a_model_that_changed_is_refused(config: Config, run: Path, model: Path) -> None:
    file = model / "mine.py"
    file.write_text(SOURCE.replace("nn.ReLU()", "nn.SiLU()"))
    try:
        with pytest.raises(UserError, match="is not the one that run .* began with"):
            search(config, run, Silent())
    finally:
        file.write_text(SOURCE)


def test_weights_that_changed_are_refused(config: Config, run: Path, model: Path) -> None:
    file = model / "small.safetensors"
    content = file.read_bytes()
    save_file({name: t + 1 for name, t in load_file(file).items()}, file)
    try:
        with pytest.raises(UserError, match="is not the one that run .* began with"):
            search(config, run, Silent())
    finally:
        file.write_bytes(content)


def test_a_full_disk_loses_nothing_and_the_same_command_continues(
    config: Config, run: Path, tmp_path: Path
) -> None:
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    kept = (copy / BROUGHT).read_bytes()
    for name in (BROUGHT, "front.json"):
        (copy / name).unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(kept) // 2, limits[1]))
    try:
        with pytest.raises(OSError, match=BROUGHT):
            search(config, copy, Silent())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not (copy / BROUGHT).exists()
    search(config, copy, Silent())
    assert (copy / BROUGHT).read_bytes() == kept
    assert (copy / "trials.jsonl").read_bytes() == (run / "trials.jsonl").read_bytes()


def test_what_is_trained_is_what_the_run_keeps(
    config: Config, run: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that changes while the command is at work changes nothing."""
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    for name in ("supernet.safetensors", "front.json"):
        (copy / name).unlink()
    shutil.rmtree(copy / "train_state", ignore_errors=True)
    file = model / "mine.py"

    def changed(*given: object, **more: object) -> object:
        file.write_text(SOURCE.replace("nn.ReLU()", "nn.SiLU()"))
        return decide_sizes(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("nas.prepare.train_supernet.decide_sizes", changed)
    try:
        with stopped(monkeypatch, "nas.search_flow.train_within_drop"):
            search(config, copy, Silent())
    finally:
        file.write_text(SOURCE)
    weights = "supernet.safetensors"
    assert (copy / weights).read_bytes() == (run / weights).read_bytes()


def test_a_model_of_other_classes_is_refused(config: Config, model: Path, tmp_path: Path) -> None:
    other = replace(config, model=f"{model / 'mine.py'}:seven", weights="")
    with pytest.raises(UserError, match="has 7 outputs, and data 'digits' 10 classes"):
        search(other, tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


MISTAKES = [
    (["mine.py"], "names no function"),
    (["mine.py:smal"], "there is no function 'smal'"),
    (["no/such/module:small"], "cannot be imported"),
    (["mine.py:thousand"], "has 1000 outputs, and data 'digits' 10 classes"),
    (["mine.py:needs"], "needs arguments: width"),
    (["mine.py:detector"], "gives list (dict), and not one tensor of scores"),
    (["mine.py:pair"], "takes 2 inputs: x, mask"),
    (["mine.py:branches"], "cannot be traced at"),
    (["mine.py:small", "--weights", "notes.txt"], "neither a file of safetensors"),
    (["mine.py:seven", "--weights", "small.safetensors"], "those of another network"),
    (["mine.py:small", "--weights", "whole.pt"], "cannot be read without executing code"),
    (["mine.py:small", "--max-drop", "half"], "is not a number of points"),
    (["mine.py:small", "--mean", "0.1,x"], "mean '0.1,x' is not a list of numbers"),
]


@pytest.mark.parametrize(("arguments", "message"), MISTAKES, ids=lambda v: str(v)[:40])
def test_a_mistake_is_one_message_code_2_and_nothing_is_left(
    arguments: list[str],
    message: str,
    model: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(model)
    (model / "notes.txt").write_text("weights")
    torch.save(torch.nn.Linear(2, 2), model / "whole.pt")
    before = sorted(model.rglob("*"))
    with pytest.raises(SystemExit) as end:
        main(["compress", *arguments, "--data", "digits", "--resolution", "16"])
    assert end.value.code == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert "Traceback" not in printed.err
    assert sorted(model.rglob("*")) == before


def test_normalisation_has_a_number_per_channel(config: Config, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"mean is \[0.1, 0.2\], and data 'digits' has 1 channels"):
        search(replace(config, mean=(0.1, 0.2)), tmp_path / "run", Silent())


def test_what_the_model_says_of_images_holds_unless_the_user_says_else(
    config: Config, model: Path
) -> None:
    says = replace(config, model=f"{model / 'mine.py'}:says", weights="", resolution=0)
    data, space, _ = prepare(says)
    assert (data.resolution, data.mean, data.std) == (16, (0.5,), (0.25,))
    first = in_words(says, space, data)[0]
    place = "(the model's default_cfg)"
    assert first == f"images: 16 px {place}, mean 0.5 {place}, std 0.25 {place}"
    given = replace(says, mean=(0.1,))
    data, space, _ = prepare(given)
    assert (data.mean, data.std) == ((0.1,), (0.25,))
    assert "mean 0.1 (--mean)" in in_words(given, space, data)[0]


def test_what_was_brought_is_said(run: Path) -> None:
    document = json.dumps(read_json(run / "space.json"))
    assert "fragment" in document
    assert (run / "brought.safetensors").is_file()


def test_the_network_that_was_brought_is_measured_as_it_was(run: Path, model: Path) -> None:
    namespace: dict = {}
    exec(SOURCE, namespace)
    network = namespace["small"]().eval()
    network.load_state_dict(load_file(model / "small.safetensors"))
    (key,) = (r["key"] for r in read_front(run)["references"] if r["name"] == "brought fp32")
    assert key.endswith("-brought")
    digits = load_data("digits", resolution=TOY.resolution, seed=TOY.split_seed)
    images = torch.from_numpy(digits.normalised(digits.search.images_NCHW))
    with torch.no_grad():
        answers = network(images).argmax(1).numpy()
    right = int((answers == digits.search.labels_N).sum())
    card = read_card(run / "references" / key / "card.json")
    assert card["files"]["model.onnx"]["accuracy"]["search"]["correct"] == right
    with pytest.raises(UserError, match="has the weights that it was brought with"):
        named(reopened(run, Silent()), key)


def test_scores_and_files_are_compared_with_it(run: Path) -> None:
    baseline = read_json(run / "baseline.json")
    trials = read_lines(run / "trials.jsonl", lambda line: line["metrics"])
    least = min(baseline["brought"], baseline["shared"])
    assert all(m["drop"] == pytest.approx(least - m["accuracy"]) for m in trials)
    assert {"text": "max-drop 100%", "metric": "drop", "max": 1.0} in read_json(run / "plan.json")[
        "limits"
    ]
    table = nas.open(run).front.set_index("key")
    (own,) = (key for key in table.index if key.endswith("-brought") and "fp32" in table.name[key])
    for _, row in table.iterrows():
        assert row.times_faster == pytest.approx(table.latency_ms[own] / row.latency_ms)
        assert row.change == pytest.approx(row.accuracy_search - table.accuracy_search[own])
    assert gain_lines(run)[0].startswith("as it was brought: ")


def test_a_drop_is_of_a_network_that_was_brought_in_the_unit_of_its_metric(
    config: Config, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no model is given"):
        replace(TOY, max_drop="1%")
    with pytest.raises(UserError, match="it has no unit. Here it is of accuracy %"):
        search(replace(config, max_drop="0.5"), tmp_path / "run", Silent())
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_it_is_said_what_finalists_were_expected_to_lose(run: Path) -> None:
    recovery, front = read_json(run / "recovery.json"), read_front(run)
    assert {row["key"] for row in recovery["trained"]} <= {
        json.loads(line)["key"] for line in (run / "trials.jsonl").read_text().splitlines()
    }
    assert set(recovery["finalists"]) <= set(recovery["measured"]) == set(recovery["expected"])
    drops = front["drops"]
    table = load_run(run)
    for member in [*table.front, *table.references]:
        if member.key not in drops:
            assert member.is_brought
            continue
        assert member.gain is not None
        assert drops[member.key]["drop"] == pytest.approx(-member.gain.change)
        low, high = member.gain.interval or (0.0, 0.0)
        assert low < member.gain.change < high
        assert (member.gain.expected is None) == (member.finetuned is None)
    tuned = [member for member in table.front if member.finetuned]
    assert not tuned or any("expected" in line for line in gain_lines(run))


def test_paths_are_recorded_from_the_root(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(model)
    found = make_config({"model": "mine.py:small", "weights": "small.safetensors"})
    assert found.model == f"{model / 'mine.py'}:small"
    assert found.weights == str(model / "small.safetensors")
    assert make_config({"model": "package.mine:small"}).model == "package.mine:small"
    assert make_config({"model": "mine.onnx"}).model == str(model / "mine.onnx")


@pytest.mark.long
def test_the_page_ends_with_files_in_use(tmp_path: Path) -> None:
    """docs/compress-a-model.md: its files, its command, its program, one after the other."""
    page = (ROOT / "docs/compress-a-model.md").read_text("utf-8")
    for kind, block in re.findall(r"^```(\w+)\n(.*?)^```$", page, re.DOTALL | re.MULTILINE):
        name = block.partition("\n")[0].removeprefix("# ")
        if kind == "python" and name.endswith(".py"):
            (tmp_path / name).write_text(block)
        if name == "my_models.py" or kind == "text":
            continue
        code = block
        if kind == "sh":
            code = f"from nas.cli.app import main; main({shlex.split(block)[1:]!r})"
        done = subprocess.run(
            [sys.executable, "-c", f"import sys; sys.path[:0] = ['.', {str(ROOT)!r}]\n{code}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert "model.onnx" in done.stdout
