"""The examples keep their contracts, and a plug-in that breaks its own is caught."""

import json
import re
from pathlib import Path

import pytest

from nas.cli import app as cli
from nas.testing.kinds import KINDS, check_plugin
from search_spaces import Stage, Staged, UserError, plugin_name
from search_spaces._plugins import registrations
from search_spaces._registry import REGISTRIES

LONGEST = 90
EXAMPLES = Path(__file__).parents[2] / "examples/plugins"
BROKEN = [
    ("pool", "params=width", "params=2 * width", "declares .* parameters and has"),
    ("pool", "@mixers.MIXERS.register\n", "", "is declared as a mixer and not implemented as one"),
    ("squared_relu", " + layers.linear(n, hidden, width)", "", "multiply-adds, and torch counts"),
    (
        "squared_relu",
        "@channel_parts.ELASTIC_CHANNEL_PARTS.register\n",
        "",
        "is declared and not impl",
    ),
    ("single_path", "sample(rng,", "sample(np.random.default_rng(),", "trained otherwise"),
    ("single_path", "tuple(rows_NC[place].tolist())", "(0, 1)", "which is no encoding"),
    ("lion", "alpha=-group", "alpha=group", "the loss was .* and is"),
    ("lion", 'mul_(1 - group["lr"]', 'mul_(1 - 9 * group["lr"]', "of its norm by decay"),
    ("monochrome", "rng.random(", "np.random.default_rng(0).random(", "draws nothing"),
    ("monochrome", "1 - images_BCHW if", "2 * images_BCHW if", "beyond 0 to 1"),
    ("paes", "controllers.generator(self.seed, trials)", "np.random.default_rng()", "are proposed"),
    ("onnxruntime_lean", "except Exception", "except KeyError", "model"),
    (
        "onnxruntime_lean",
        "        call()\n",
        '        (file.parent / "x").touch()\n',
        "has changed",
    ),
    ("ordinal", "labels_B[:, None] >", "labels_B[:, None] <", "loss is .* after training"),
    ("ordinal", "(outputs_NK > 0)", "(outputs_NK < 0)", "mean_error is .* after training"),
    ("l2", ".square()", "", "it is .*nan"),
    ("late", "removed_LS))", "removed_LS[-1:]))", "it was .* and is"),
    ("deviations", "max(low, mean - reach)", "mean - reach", "the range is"),
    ("deep_stem", "inner, shape.width, 3)", "inner, shape.width, 1)", "multiply-adds and has"),
    ("frn", "params=3 * width", "params=2 * width", "declares .* parameters and has"),
    (
        "frn",
        "is_batch_norm: ClassVar = False",
        "is_batch_norm: ClassVar = True",
        "is_batch_norm is",
    ),
    ("fp16w", "@QUANTIZATIONS.register\n", "", "is declared and not implemented"),
    ("one_of_four", "index_bits: ClassVar[int] = 2", "index_bits = 1", "do not tell 4 places"),
    ("streams", 'tuple(document["widths"])', "(8,)", "is made of the JSON of"),
    ("streams", "@SPACES.register\n", "", "has no space of its name"),
    ("background", "score.result()", "Score({})", "and in this process"),
    (
        "torch_channels_last",
        'artefact: ClassVar = ".safetensors"',
        "",
        "one convolution is refused",
    ),
    ("gratings", "default_rng(request.seed)", "default_rng(0)", "the same images with seeds 0"),
]
"""Example, what stands there and what then, and what the check says."""


def test_every_registry_is_a_kind_of_plug_in() -> None:
    of_packages = [r for r in REGISTRIES if r._package != "plug_ins"]  # which tests make
    assert [id(kind.registry) for kind in KINDS if kind.registry not in of_packages] == []
    assert len(KINDS) == len(of_packages)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_an_example_is_short_and_keeps_its_contract(
    file: Path, plugins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        cli.main(["plugin", "check", str(file)])
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if not line.endswith(": ok")] == []
    kinds = {id(registry) for registry, _ in registrations(plugin_name(file))}
    assert len(lines) == sum(len(kind.checks) for kind in KINDS if id(kind.registry) in kinds) > 0
    assert exit_.value.code == cli.OK
    assert len(file.read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize(("name", "old", "new", "message"), BROKEN)
def test_a_broken_plug_in_is_caught(
    name: str, old: str, new: str, message: str, plugins: Path, tmp_path: Path
) -> None:
    text = (plugins / f"{name}.py").read_text()
    assert old in text
    file = tmp_path / f"broken_{name}.py"
    file.write_text(text.replace(old, new).replace('"gratings"', '"broken-gratings"'))
    failure = next((finding.failure for finding in check_plugin(file) if finding.failure), "")
    assert re.search(message, failure)


WORDS = {
    '("kernel_size",)': '("kernel_size", "border")\n    words: ClassVar = {"border": ("cut", "zeros")}',
    '"kernel_size": window}': '"kernel_size": window, "border": pick["border"]}',
    "count_include_pad=False": 'count_include_pad=signature.pick.text("border") == "zeros"',
}
"""What makes a dimension with words of the example's fixed border."""


def test_options_that_are_words_are_drawn(plugins: Path, tmp_path: Path) -> None:
    text = (plugins / "pool.py").read_text()
    for old, new in WORDS.items():
        assert old in text
        text = text.replace(old, new)
    good, undeclared = tmp_path / "bordered_pool.py", tmp_path / "undeclared_pool.py"
    good.write_text(text)
    assert [finding.failure for finding in check_plugin(good) if finding.failure] == []
    undeclared.write_text(text.replace("words: ClassVar", "others: ClassVar"))
    failures = [finding.failure for finding in check_plugin(undeclared)]
    assert any("not a word" in failure for failure in failures)
    stage = Stage(
        widths=(8,), depths=(1,), operators=("bordered-pool",),
        options=(("kernel_size", (3,)), ("expand_ratio", (2,)), ("border", ("cut", "none"))),
    )  # fmt: skip
    with pytest.raises(UserError, match="border 'none', which it does not have. It has cut, zeros"):
        Staged(resolution=16, channels=1, num_classes=2, stages=(stage, stage))


def test_what_fails_sets_the_exit_code_and_is_said_in_json(
    plugins: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "small_step.py"
    text = (plugins / "lion.py").read_text()
    file.write_text(text.replace("learning_rate: ClassVar[float] = 3e-3", "learning_rate = 0.0"))
    with pytest.raises(SystemExit) as exit_:
        cli.main(["plugin", "check", str(file), "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert exit_.value.code == cli.FAILED
    assert {f["kind"] for f in findings} == {"optimizer"}
    assert "learning_rate is 0.0" in [f["failure"] for f in findings]


def test_the_list_has_every_kind_and_what_a_file_adds(
    plugins: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["plugin", "list", "--plugin", str(plugins / "paes.py")]
    with pytest.raises(SystemExit):
        cli.main([*arguments, "--json"])
    found = json.loads(capsys.readouterr().out)
    assert list(found)[: len(KINDS)] == [kind.registry.kind for kind in KINDS]
    assert found["controller"]["paes"].startswith("Mutates members of the front")
    assert found["operator"]["raft"]
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert "  paes " in capsys.readouterr().out
