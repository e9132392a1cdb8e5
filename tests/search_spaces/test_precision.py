"""Formats of stages and of whole networks."""

from itertools import product

from search_spaces import has_grids, is_quantized, load_space, precision_of


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


def test_formats_that_differ_in_linear_layers_are_one_where_there_are_none() -> None:
    """The first stage of `mobile` has convolutions alone, the last one the linear head."""
    space = load_space("mobile", resolution=32, channels=3, num_classes=10)
    own = {"stage1.precision": "int8w", "stage3.precision": "int8w"}
    for offered in (("fp32", "int8", "int8w", "int8-dynamic", "int4w"), ("int4w", "int8w")):
        given = space.with_policy(offered, (0.0,))
        first, last = (
            {
                given.candidate(given.encode({**own, f"stage{n}.precision": name}))
                for name in offered
            }
            for n in (1, 3)
        )
        assert len(first) == len({"fp32", "int8", "int8w"} & {*offered})
        assert len(last) == len(offered)
        (stem, *_) = given.slots(given.encode({"stage1.precision": "int4w"}))
        assert stem.signature.precision == "int8w"


def test_networks_of_convolutions_are_not_counted_twice() -> None:
    """Of the two stages of `toy` with `mbconv` alone, the second one has the linear head."""
    space = load_space("toy", resolution=16, channels=1, num_classes=10)
    space = space.restricted({choice.name: choice.options[:1] for choice in space.choices})
    formats = ("int8w", "int8-dynamic", "int4w")
    space = space.with_policy(formats, (0.0,))
    every = [space.candidate(row) for row in product(*map(range, space.cardinalities))]
    assert space.size == len({candidate.key for candidate in every}) == len(formats)
    assert len({space.slots(candidate.encoding) for candidate in every}) == len(formats)
