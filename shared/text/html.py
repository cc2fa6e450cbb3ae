"""HTML from strangers: made safe to show, and turned into the text that a reader sees. Time is bounded for any input."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import nh3

MAX_HTML = 400_000
MAX_SAFE = 100_000  # of the HTML that is kept beside the text
# The parser's time grows with the square of how deep elements are nested; real mail stays below a hundred.
MAX_DEPTH = 1_000
MAX_REFERENCES = 50_000  # such as &amp;: with the square of their number too
SAFE_TAGS = {
    "a", "abbr", "b", "blockquote", "br", "caption", "center", "cite", "code", "dd", "del", "div", "dl", "dt", "em",
    "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "ins", "li", "ol", "p", "pre", "q", "s", "small", "span", "strike",
    "strong", "sub", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "tt", "u", "ul",
}  # fmt: skip
SAFE_ATTRIBUTES = {"a": {"href"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "ol": {"start"}}
SAFE_SCHEMES = {"http", "https", "mailto", "tel"}
_BLOCKS = {
    "address", "article", "aside", "blockquote", "caption", "center", "dd", "div", "dl", "dt", "fieldset", "footer", "form",
    "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table",
    "tbody", "tfoot", "thead", "tr", "ul",
}  # fmt: skip
_PARAGRAPHS = {"p", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "table", "ul", "ol", "pre", "dl"}
# End tags that HTML lets people leave out, and elements that have none: they do not nest.
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
_FLAT = {
    "p", "li", "br", "img", "hr", "td", "th", "tr", "dd", "dt", "option", "input", "meta", "link", "col", "area", "base",
    "wbr", "source", "track", "embed", "param", "font", "b", "i", "u", "a", "em", "strong", "o",
}  # fmt: skip
_SPACE = re.compile(r"[ \t\r\n\f\u200b\ufeff\u00a0]+")


def safe_html(text: str) -> str | None:
    """The HTML without scripts, styles, forms, images and links to anything but web, mail and telephone addresses.

    Nothing is fetched when it is shown: no remote image tells the sender that his mail was read. None for HTML that is
    too long, too deep or too full of references to be worth it; its text is there all the same.
    """
    text = text.replace("\0", "")
    if len(text) > MAX_HTML or text.count("&") > MAX_REFERENCES or _depth(text) > MAX_DEPTH:
        return None
    return nh3.clean(
        text,
        tags=SAFE_TAGS,
        attributes=SAFE_ATTRIBUTES,
        url_schemes=SAFE_SCHEMES,
        link_rel="noopener noreferrer nofollow",
        clean_content_tags={"script", "style", "title", "head", "noscript", "template", "textarea", "select"},
    )


def to_text(text: str) -> str:
    """What a reader of the HTML sees, a line a block; quotations get '> ' before their lines, as in plain mail."""
    return read(text)[1]


def read(text: str) -> tuple[str | None, str]:
    """`safe_html` and `to_text` in one."""
    tidy = safe_html(text[:MAX_HTML])
    if tidy is None:
        return None, html.unescape(re.sub(r"<[^<>]*>", " ", text[:MAX_HTML]))
    reader = _Reader()
    reader.feed(tidy)
    reader.close()
    return tidy, reader.text()


def _depth(text: str) -> int:
    depth = deepest = 0
    for closing, name in _TAG.findall(text):
        if name.lower() in _FLAT:
            continue
        depth = max(0, depth - 1) if closing else depth + 1
        deepest = max(deepest, depth)
    return deepest


class _Reader(HTMLParser):
    """Collects the lines of tidy HTML."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._quotes = 0
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._end_line()
            return
        if tag in _BLOCKS:
            self._end_block(tag in _PARAGRAPHS)
        if tag == "blockquote":
            self._quotes += 1
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "hr":
            self._line.append("_" * 32)
            self._end_line()
        elif tag == "li":
            self._line.append("- ")
        elif tag in ("td", "th") and "".join(self._line).strip():
            self._line.append("\t")

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._end_block(tag in _PARAGRAPHS)
        if tag == "blockquote":
            self._quotes = max(0, self._quotes - 1)
        elif tag == "pre":
            self._preformatted = max(0, self._preformatted - 1)

    def handle_data(self, data: str) -> None:
        if self._preformatted:
            first, *rest = data.split("\n")
            self._line.append(first)
            for line in rest:
                self._end_line()
                self._line.append(line)
        else:
            self._line.append(_SPACE.sub(" ", data))

    def text(self) -> str:
        """All lines; never more than one blank line together."""
        if self._line:
            self._end_line()
        return re.sub(r"\n{3,}", "\n\n", "\n".join(self._lines)).strip("\n")

    def _end_block(self, paragraph: bool) -> None:
        if "".join(self._line).strip():
            self._end_line()
        self._line.clear()
        if paragraph and self._lines and self._lines[-1].strip("> "):
            self._lines.append("> " * self._quotes if self._quotes else "")

    def _end_line(self) -> None:
        joined = "".join(self._line)
        line = joined.rstrip() if self._preformatted else re.sub(r" {2,}", " ", joined).strip()
        # Past a few levels the depth says nothing more, and would make the text quadratic.
        self._lines.append("> " * min(self._quotes, 5) + line)
        self._line.clear()
