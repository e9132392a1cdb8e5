"""Escaping by construction."""

from reports.markup import element, join


def test_text_and_attributes_are_escaped_and_markup_is_not() -> None:
    inner = element("b", "<i> & \"'")
    assert inner == "<b>&lt;i&gt; &amp; &quot;&#x27;</b>"
    outer = element("p", inner, " <", title='"><script>')
    assert outer == f'<p title="&quot;&gt;&lt;script&gt;">{inner} &lt;</p>'


def test_none_adds_nothing_and_names_lose_their_underscore() -> None:
    assert element("td", None, class_="x", data_label="y", id=None) == (
        '<td class="x" data-label="y"></td>'
    )
    assert join("a<", None, element("br")) == "a&lt;<br>"
