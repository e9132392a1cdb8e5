"""Formats of stages and of whole networks."""

from search_spaces import has_grids, is_quantized, precision_of


def test_a_network_has_one_precision_or_is_mixed() -> None:
    int8, fp32 = {"stage1.precision": "int8"}, {"stage2.precision": "fp32"}
    found = [precision_of(policy) for policy in (int8, fp32, int8 | fp32, {})]
    assert found == ["int8", "fp32", "mixed", "fp32"]


def test_of_formats_that_are_not_installed_it_is_known_that_they_are_quantized() -> None:
    assert [is_quantized(name) for name in ("fp32", "int8", "int8w", "mixed", "int3")] == [
        False,
        True,
        True,
        True,
        True,
    ]


def test_activations_are_on_grids_where_values_between_layers_are_integers() -> None:
    assert has_grids({"a.precision": "fp32", "b.precision": "int8"})
    assert not has_grids({"a.precision": "int8-dynamic", "b.precision": "int8w"})
    assert not has_grids({"a.sparsity": 0.5})
