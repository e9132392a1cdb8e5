"""Which values are of a type."""

from nas.system.typed import is_a


def test_true_is_no_number_and_one_is_not_true() -> None:
    assert is_a(3, float)
    assert is_a(3, int)
    assert is_a(True, bool)
    assert not is_a(True, int)
    assert not is_a(1, bool)
    assert not is_a(3.0, int)
    assert not is_a("3", int)
