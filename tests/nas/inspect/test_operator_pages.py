"""Pages of operators: each is there once, with its picture, options, costs and source."""

import re
from xml.etree import ElementTree

import pytest
from torch import Tensor, nn

from nas.inspect.documented import documented
from nas.inspect.drawing import drawing
from nas.inspect.flows import INPUT, OUTPUT, flow_of
from nas.inspect.operator_pages import SIDE, WIDTH, Page, operator_pages
from search_spaces import UserError
from search_spaces.operators import OPERATORS
from search_spaces.trunk import TRUNK


@pytest.fixture(scope="module")
def pages() -> dict[str, Page]:
    return {page.file: page for page in operator_pages()}


def test_every_operator_has_a_section_on_one_page_that_the_first_leads_to(
    pages: dict[str, Page],
) -> None:
    sections = {
        name: file
        for file, page in pages.items()
        for name in re.findall(r"(?m)^## `(.+)`$", page.text)
    }
    assert sorted(sections) == OPERATORS.names()
    for name, file in sections.items():
        link = f"({file.partition('/')[2]}#{name})"
        assert link in pages["operators/index.md"].text
    assert all(f"`{name}`" in pages["operators/parts.md"].text for name in TRUNK.names())


def test_every_operator_says_what_it_is_what_it_costs_and_where_it_is_from() -> None:
    for name in OPERATORS.names():
        one = documented(name, width=WIDTH, side=SIDE)
        assert one.definition, name
        assert one.formula, name
        assert one.macs is not None, name
        assert one.source or not one.params, name
        assert all(option.allowed for option in one.options), name
    with pytest.raises(UserError, match="Did you mean 'mbconv'"):
        documented("mbconf", width=WIDTH, side=SIDE)


def test_every_operator_has_a_picture_whose_arrows_go_down(pages: dict[str, Page]) -> None:
    figures = re.findall(
        r"<figure class=\"operator\">(.*)</figure>", "".join(page.text for page in pages.values())
    )
    roots = {root.findtext("title"): root for root in map(ElementTree.fromstring, figures)}
    assert sorted(roots, key=str) == sorted(f"Parts of {name}" for name in OPERATORS.names())
    for title, root in roots.items():
        is_one_layer = title in ("Parts of identity", "Parts of gain")
        assert len(list(root.iter("rect"))) >= 3 or is_one_layer, title
        for path in root.findall("path"):
            ys = [float(y) for y in re.findall(r"[ML][\d.]+,([\d.]+)", path.get("d") or "")]
            assert ys[0] < ys[-1], title


class Forked(nn.Module):
    """Two branches, one of which is gated by a scalar and moved about."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(4, 4, 3, padding=1, groups=4)
        self.right = nn.Linear(4, 8)
        self.unused = nn.Linear(4, 4)
        self.skip = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        self.unused(x.mean((2, 3)))
        moved = self.right(0.5 * x.permute(0, 2, 3, 1)).chunk(2, -1)[0]
        moved = moved.reshape(batch, height, width, 4).permute(0, 3, 1, 2)
        return self.left(x) @ moved + self.skip(x)


def test_parts_are_modules_and_functions_and_what_moves_numbers_is_none() -> None:
    found = flow_of(Forked())
    assert [part.title for part in found] == [INPUT, "right", "left", "product", "+", OUTPUT]
    assert [part.reads for part in found] == [(), (0,), (0,), (2, 1), (3, 0), (4,)]
    assert [part.text for part in found][1:3] == ["linear, 4 to 8", "3x3 depthwise convolution, 4"]


def test_what_looks_at_numbers_has_no_picture() -> None:
    class Looking(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x if x.sum() > 0 else -x

    with pytest.raises(ValueError, match="Looking has no picture"):
        flow_of(Looking())


def test_titles_are_escaped() -> None:
    assert "a&lt;b" in drawing(flow_of(Forked()), "a<b")
