"""The configuration: names and types are checked, and the file says exactly what was resolved."""

import dataclasses
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.run.config import Config, differences, make_config
from nas.run.config_file import read_config
from search_spaces import UserError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "search.toml"
    path.write_text(text, encoding="utf-8")
    return path


@given(
    data_dir=st.text(st.characters(codec="utf-8"), max_size=20),
    seed=st.integers(0, 2**60),
    budget=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), max_size=3),
    settings=st.dictionaries(
        st.sampled_from(["steps", "learning_rate", "precision", "channels_last"]),
        st.booleans() | st.integers(-(2**60), 2**60) | st.floats(-1e300, 1e300) | st.just("fp32"),
    ),
)
def test_what_is_written_is_what_is_read(
    tmp_path_factory: pytest.TempPathFactory,
    data_dir: str,
    seed: int,
    budget: list[str],
    settings: dict[str, float | str],
) -> None:
    config = Config(data_dir=data_dir, seed=seed, budget=tuple(budget), set=settings)
    path = write(tmp_path_factory.getbasetemp(), config.to_toml())
    assert make_config(read_config(path)) == config


NAMES = [field.name for field in dataclasses.fields(Config)]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["toy", "digits", "fp32", "5m", "nan", "\0", "a.py", "/"])
    | st.datetimes()
    | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@given(
    document=st.dictionaries(
        st.sampled_from(NAMES) | st.text(st.characters(codec="utf-8"), max_size=6),
        VALUES,
        max_size=4,
    )
)
def test_whatever_values_a_file_has_it_is_a_configuration_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.toml"
    with mock.patch("tomllib.loads", return_value=document):  # Python cannot write TOML
        path.touch()
        try:
            config = make_config(read_config(path))
        except UserError as error:
            assert "\n" not in str(error)
            return
    path.write_text(config.to_toml())
    assert make_config(read_config(path)) == config


@given(
    content=st.binary(max_size=60)
    | st.lists(
        st.sampled_from([*NAMES, "=", " ", "\n", "[", "]", "{", '"', "'", "1", "-", ".", "e9", "#"])
    ).map(lambda words: "".join(words).encode())
)
def test_whatever_bytes_a_file_has_it_is_a_configuration_or_a_message(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "bytes.toml"
    path.write_bytes(content)
    try:
        make_config(read_config(path))
    except UserError as error:
        assert " object at 0x" not in str(error)


def test_equal_configurations_have_one_directory_and_different_ones_two() -> None:
    assert Config(seed=1).default_out() == Config(seed=1).default_out()
    assert Config(seed=1).default_out() != Config(seed=2).default_out()
    assert Config(set={"steps": 3}).default_out() != Config().default_out()
    elsewhere = Config(cache="/tmp", threads=1, executor="inline", workers=2)
    assert elsewhere.default_out() == Config().default_out()


def test_a_size_has_one_name_however_it_was_given(tmp_path: Path) -> None:
    for size, kept in (("96x128", "96x128"), ((96, 96), 96), ("16", 16), (0, 0), ("0", 0)):
        config = make_config({"resolution": size})
        assert config.resolution == kept
        (tmp_path / "a.toml").write_text(config.to_toml())
        assert read_config(tmp_path / "a.toml")["resolution"] == kept
    assert Config(resolution="96x128").digest != Config(resolution=96).digest


def test_a_field_that_a_later_version_adds_renames_no_run() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Later(Config):
        added: str = "usual"

    assert Later(seed=3).digest == Config(seed=3).digest
    assert Later(added="other").digest != Config().digest
    assert Config().default_out().name.startswith("hybrid-digit-pairs-")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('spac = "toy"', "unknown 'spac'.*Did you mean 'space'"),
        ("space = ", "is not TOML"),
        ('trials = "six"', "trials is 'six'. It must be a whole number"),
        ("seed = true", "seed is True. It must be a whole number"),
        ("budget = [3]", r"budget is \[3\]. It must be a list, each text"),
        ("budget = 1979-05-27", "budget is .*1979.* It must be a list, each text"),
        ("precision = {a = 1}", "precision is {'a': 1}"),
        ('sparsity = [0, "a"]', "sparsity is .*each a number"),
        ("sparsity = true", "sparsity is True"),
        ("data_dir = 3", "data_dir is 3. It must be text"),
        ('resolution = "96x"', "resolution 96x is not a size in pixels"),
        ("resolution = true", "resolution True is not a size in pixels"),
        ("resolution = 32.5", "resolution 32.5 is not a size in pixels"),
        ("set = 3", "set is 3. It must be a table"),
        ("seed = " + "9" * 5000, "is not TOML"),
        ("set = " + "[" * 100_000, "is not TOML"),
    ],
)
def test_a_wrong_file_is_refused_with_the_name_and_the_type(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        read_config(write(tmp_path, text))


def test_a_missing_or_binary_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot read.*No such file"):
        read_config(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="is not TOML"):
        read_config(tmp_path / "binary.toml")


def test_one_value_may_stand_for_a_list_of_one(tmp_path: Path) -> None:
    found = read_config(write(tmp_path, 'budget = "12ms"\nsparsity = 0'))
    assert found == {"budget": ("12ms",), "sparsity": (0.0,)}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trials": -1}, "trials is -1. It must not be negative"),
        ({"seed": -1}, "seed is -1"),
        (
            {"data_seed": 2**64},
            "data_seed is 18446744073709551616. It must be at most 1844674407370",
        ),
        ({"trials": 10**30}, "trials is 10*. It must be at most 1000000"),
        ({"threads": 5000}, "threads is 5000. It must be at most 1024"),
        ({"timing_threads": 0}, "timing_threads is 0. It must be at least 1"),
        ({"precision": ()}, r"precision is \[\].*--precision fp32,int8"),
        ({"precision": ("fp32", "fp32")}, "each once"),
        ({"sparsity": (0.0, 0.0)}, "each once"),
        ({"sparsity": (0.0, 1.0)}, "sparsity 1.0 is not a fraction"),
        ({"sparsity": (0.0, float("nan"))}, "sparsity nan is not a fraction"),
        ({"sparsity": (0.5,)}, "leaves no unpruned network"),
        ({"time": "5"}, "time '5' is not a duration"),
        ({"set": {"steps": [1]}}, r"setting 'steps' is \[1\]"),
        ({"set": {"learning_rate": float("nan")}}, "setting 'learning_rate' is nan"),
    ],
)
def test_a_value_outside_what_is_allowed_is_refused(
    settings: dict[str, object], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        make_config(settings)


def test_differences_name_what_changed() -> None:
    old, new = (tomllib.loads(Config(time=time).to_toml()) for time in ("10s", "20s"))
    assert differences(old, new) == ["time '10s' -> '20s'"]
    assert differences(old, old) == []


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "search.toml"
    path.write_text('space = "toy"\n', encoding="utf-8-sig")
    assert read_config(path) == {"space": "toy"}
