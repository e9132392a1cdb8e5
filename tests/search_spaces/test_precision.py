"""Formats of stages and of whole networks."""

from search_spaces import precision_of


def test_a_network_has_one_precision_or_is_mixed() -> None:
    int8, fp32 = {"stage1.precision": "int8"}, {"stage2.precision": "fp32"}
    found = [precision_of(policy) for policy in (int8, fp32, int8 | fp32, {})]
    assert found == ["int8", "fp32", "mixed", "fp32"]
