"""What the contract of targets does not say of openvino."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from nas.targets import Timing, choose, measure
from nas.testing.targets import fp32_file
from search_spaces import UserError


def test_a_precision_that_there_is_not_is_refused_without_openvino() -> None:
    with pytest.raises(UserError, match=r"precision is 'f64'\. Known: f32, bf16"):
        choose("openvino:precision=f64")


@pytest.mark.skipif(find_spec("openvino") is None, reason="needs openvino")
def test_its_precision_is_recorded_and_that_of_what_verifies(tmp_path: Path) -> None:
    chosen = choose("openvino:precision=bf16,batch=4")
    assert chosen.target.answered_by.options == {"precision": "bf16"}
    (timing,) = measure(chosen.text, [fp32_file(tmp_path)], processes=1, budget_s=0.1)
    assert isinstance(timing, Timing)
    assert (timing.runtime, timing.options, timing.batch) == ("openvino", "precision=bf16", 4)
    assert Timing.from_json(timing.to_json()) == timing
