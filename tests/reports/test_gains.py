"""What a report says of networks against the one that was brought, and of its parts."""

from reports import gains, parts_picture, text
from reports.records import Gain, Latency, Member, ModelFile, SplitQuality
from search_spaces import DEFAULT_TASK, task_of

SHOWN = task_of(DEFAULT_TASK).shown


def member(key: str, role: str, right: int, ms: float, size: int, **policy: object) -> Member:
    search = SplitQuality(shown=right / 1000, correct=right, total=1000)
    file = ModelFile(name="model.onnx", bytes=size, search=search, latency=Latency(median_ms=ms))
    named = {name.replace("__", "."): value for name, value in policy.items()}
    return Member(
        key=key,
        name=role,
        role=role,
        is_reference=True,
        folder=f"references/{key}",
        arch={},
        policy=named,  # type: ignore[arg-type]
        encoding=(),
        macs=1,
        params=1,
        files=(file,),
        classes=(),
        input={},
    )


def test_gains_are_ratios_and_points_with_the_interval_of_the_difference() -> None:
    base = member("a-brought", "brought fp32", 950, 2.1, 3600)
    small = member("b", "", 948, 1.0, 1000)
    assert gains.brought([small, base]) is base
    own, other = gains.with_gains([base, small], base, {})
    assert gains.words(other.gain, SHOWN) == "2.1x faster, 3.6x smaller, −0.2 points (−2.2 to +1.8)"
    assert own.gain == Gain(times_faster=1.0, times_smaller=1.0, change=0.0)
    assert gains.with_gains([small], None, {}) == [small]
    worse = Gain(times_faster=0.5, times_smaller=0.8, change=0.01)
    assert gains.words(worse, SHOWN) == "2.0x slower, 1.25x larger, +1.0 points"


def test_parts_have_the_names_of_modules_with_what_their_layers_lost() -> None:
    policy = {
        "stem.sparsity": 0.25,
        "layer1.0.conv1.sparsity": 0.5,
        "layer1.0.heads.sparsity": 0.0,
        "stem.precision": "int8",
        "layer1.0.precision": "fp32",
    }
    assert text.network({}, policy) == (
        "stem: int8, sparsity .25",
        "layer1.0: conv1 −50 %, fp32, sparsity .5",
    )
    names = {name.replace(".", "__"): value for name, value in policy.items()}
    drawn = member("c", "", 1, 1.0, 1, **names)
    assert "layer1.0" in parts_picture.picture(drawn, parts_picture.parts_of(drawn))


def test_blocks_that_may_be_left_out_do_not_make_stages_of_parts() -> None:
    arch = {"layer1.depth": 1, "head.depth": 0}
    policy = {"layer1.0.sparsity": 0.25, "layer1.0.precision": "int8"}
    assert text.network(arch, policy) == (
        "layer1: depth 1",
        "head: depth 0",
        "layer1.0: int8, sparsity .25",
    )
    assert [stage.name for stage in text.stages(arch, policy) if stage.is_part] == ["layer1.0"]
    assert text.per_stage(arch, policy, "precision") == "int8"


def test_formats_of_many_parts_are_counted() -> None:
    policy = {f"part{i}.precision": "int8" if i < 9 else "fp32" for i in range(10)}
    assert text.per_stage({}, policy, "precision") == "int8 x9 fp32"
