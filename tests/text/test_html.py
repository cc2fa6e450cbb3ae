"""HTML from strangers: what is shown can do nothing, and its text is what a reader sees."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.text import html
from shared.text.quotes import strip_reply


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>Hello&nbsp;&amp; good<b>bye</b></p><p>Second</p>", "Hello & goodbye\n\nSecond"),
        ("<div>one</div><div>two<br>three</div>", "one\ntwo\nthree"),
        ("<ul><li>one<li>two</ul>", "- one\n- two"),
        ("<table><tr><td>Order</td><td>17</td></tr><tr><td>Paid</td><td>no</td></tr></table>", "Order\t17\nPaid\tno"),
        ("<style>p{}</style><script>x()</script><title>t</title><p>seen</p>", "seen"),
        ("line\n  broken\n in the source", "line broken in the source"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<p>&lt;b&gt; is not bold &#x1F621;</p>", "<b> is not bold 😡"),
        ("<p>unclosed <b>everything", "unclosed everything"),
        ("", ""),
    ],
)
def test_the_text_is_what_a_reader_sees(markup: str, text: str) -> None:
    assert html.to_text(markup) == text


def test_a_quotation_in_html_is_one_in_text() -> None:
    markup = (
        '<div dir="ltr">It still leaks.</div><br><div class="gmail_quote"><div class="gmail_attr">On Mon, 2 Mar 2026 at 09:12, '
        'Care &lt;<a href="mailto:care@shop.example">care@shop.example</a>&gt; wrote:<br></div>'
        "<blockquote><div>We will call.</div></blockquote></div>"
    )
    assert strip_reply(html.to_text(markup)).text == "It still leaks."


@pytest.mark.parametrize(
    "markup",
    [
        "<img src=x onerror=alert(1)>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href='jav&#x09;ascript:alert(1)'>x</a>",
        "<iframe src='https://x'></iframe>",
        "<form action='https://x'><input name=password></form>",
        "<p style='background:url(https://x)' onclick=alert(1)>x</p>",
        "<svg><script>alert(1)</script></svg>",
        "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=alert(1)&gt;'>",
        "<object data='https://x'></object><embed src='https://x'><link rel=stylesheet href='https://x'><base href='https://x'>",
    ],
)
def test_what_is_shown_can_do_nothing_and_fetches_nothing(markup: str) -> None:
    safe = html.safe_html(markup)
    assert safe is not None
    assert not any(word in safe.lower() for word in ("onerror=alert", "javascript:", "src=", "https://x", "<script", "<svg", "style="))


@pytest.mark.parametrize(
    "markup",
    [
        "<div>" * 100_000, "<" * 400_000, "<blockquote>" * 50_000, "<!--" * 100_000, "<b><p>" * 50_000, "<a " + "x=y " * 100_000,
        "&" * 400_000, "\0" * 400_000,
    ],
)
def test_hostile_html_takes_bounded_time(markup: str) -> None:
    started = time.process_time()
    html.read(markup)
    assert time.process_time() - started < 20, "unbounded, it is minutes"


def test_html_full_of_references_is_not_kept_and_its_text_is() -> None:
    assert html.read("<p>Tom &amp; Jerry</p>" + "&" * 60_000)[0] is None
    assert html.read("<p>Tom &amp; Jerry</p>" + "&" * 60_000)[1].startswith(" Tom & Jerry")
    assert html.read("<p>T\0om</p>") == ("<p>Tom</p>", "Tom")


@given(st.text(alphabet=st.sampled_from("<>/abdivp\"'= &;!-\n\tx"), max_size=200))
def test_any_markup_gives_text_and_cleaning_again_changes_nothing(markup: str) -> None:
    safe, text = html.read(markup)
    assert safe is not None
    assert html.safe_html(safe) == safe
    assert "\r" not in text
