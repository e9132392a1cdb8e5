"""Providers of onnxruntime: refused where the installed package lacks them."""

import onnxruntime
import pytest

from nas.targets import BY_ONNXRUNTIME, choose
from nas.targets.onnxruntime import PROVIDERS
from search_spaces import UserError

LACKING = [
    name
    for name, (provider, _) in PROVIDERS.items()
    if provider not in onnxruntime.get_available_providers()
]


def test_a_provider_that_there_is_not_is_refused() -> None:
    with pytest.raises(UserError, match=r"provider is 'rocm'\. Known: cpu, cuda, tensorrt"):
        choose("onnxruntime:provider=rocm")


@pytest.mark.parametrize("name", LACKING)
def test_a_provider_that_is_not_installed_is_refused_with_what_is(name: str) -> None:
    chosen = choose(f"onnxruntime:provider={name}")
    with pytest.raises(UserError, match=r"has no .*, but .*CPUExecutionProvider.*onnxruntime-gpu"):
        chosen.target.describe()


def test_who_deploys_with_a_provider_reads_its_accuracy_and_formats() -> None:
    plain, cuda = (choose(text).target for text in ("onnxruntime", "onnxruntime:provider=cuda"))
    assert plain.answered_by == BY_ONNXRUNTIME
    assert cuda.answered_by.options == {"provider": "cuda"}
    assert plain.offers("int8")
    assert cuda.offers("int8w")
    assert not cuda.offers("int8")
    assert choose("onnxruntime:provider=cpu").text == "onnxruntime"
