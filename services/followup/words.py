"""The words of messages to customers: translated templates in a sandbox, with limits of size and time.

A template is data that somebody outside of the code writes, so it may not do more than put values into sentences: the
syntax is a short list of what is admitted (no calls, no attributes of objects, no arithmetic, no nested loops), which
also bounds its time; what it writes is bounded as well.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes
from jinja2.sandbox import ImmutableSandboxedEnvironment

from shared.calendar.durations import zone_info

NAMES = ("check_in", "progress_update", "holding_response", "hand_off", "thanks")
FALLBACK = "en"
MAX_SOURCE, MAX_TEXT, MAX_SECONDS = 20_000, 20_000, 0.5
_MONTHS = {
    "en": "January February March April May June July August September October November December",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
}
_FORMS = {"en": "{d} {m} {y}", "de": "{d}. {m} {y}", "fr": "{d} {m} {y}", "es": "{d} de {m} de {y}"}
_ADMITTED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.If, nodes.CondExpr, nodes.Const, nodes.Compare,
    nodes.Operand, nodes.Not, nodes.And, nodes.Or, nodes.Filter, nodes.For, nodes.List, nodes.Tuple, nodes.Test,
)  # fmt: skip
_FILTERS = ("trim", "upper", "lower", "title", "capitalize", "first", "last", "length", "join", "default", "day")
_TESTS = ("defined", "none", "true", "false")


class TemplateRefused(ValueError):
    """The template cannot be used. The message says where and why."""


class Words(NamedTuple):
    subject: str
    text: str


class _Compiled(NamedTuple):
    """One compiled template."""

    subject: Any
    text: Any


class Templates:
    """All templates by name and language: those of a folder first, then the built-in ones."""

    def __init__(self, folder: Path | None = None) -> None:
        """Raises TemplateRefused for the first file that cannot be used."""
        self._environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        self._environment.globals.clear()
        self._environment.filters = {
            name: found for name, found in self._environment.filters.items() if name in _FILTERS
        } | {"day": day}
        self._environment.tests = {name: test for name, test in self._environment.tests.items() if name in _TESTS}
        built_in = {each.name: each.read_text(encoding="utf-8") for each in (files("services.followup") / "templates").iterdir()}
        self._compiled = {name: self._compile(name, text) for name, text in built_in.items() if name.endswith(".txt")}
        for file in sorted(folder.glob("*.txt")) if folder else ():
            if file.name.split(".")[0] not in NAMES:
                raise TemplateRefused(f"{file}: there is no message of that name; there are {', '.join(NAMES)}")
            self._compiled[file.name] = self._compile(str(file), file.read_text(encoding="utf-8"))

    def languages(self, name: str) -> tuple[str, ...]:
        """The languages in which a message exists."""
        return tuple(sorted(each.split(".")[1] for each in self._compiled if each.startswith(f"{name}.")))

    def render(self, name: str, language: str, values: Mapping[str, Any]) -> Words:
        """The message in that language, else in English. Raises TemplateRefused."""
        language = language if f"{name}.{language}.txt" in self._compiled else FALLBACK
        template = self._compiled[f"{name}.{language}.txt"]
        return _written(template, name, {**values, "language": language})

    def try_out(self, origin: str, source: str, values: Mapping[str, Any], language: str) -> Words:
        """The words of a template that is not in use yet. Raises TemplateRefused."""
        template = self._compile(origin, source)
        return _written(template, origin, {**values, "language": language})

    def _compile(self, origin: str, source: str) -> _Compiled:
        if len(source) > MAX_SOURCE:
            raise TemplateRefused(f"{origin}: longer than {MAX_SOURCE} characters")
        head, _, body = source.partition("\n")
        if not head.startswith("Subject:"):
            raise TemplateRefused(f"{origin}:1: the first line must be 'Subject: ...'")
        try:
            for text, line in ((head.removeprefix("Subject:"), 0), (body, 1)):
                _admit(self._environment.parse(text), origin, line)
            return _Compiled(self._environment.from_string(head.removeprefix("Subject:")), self._environment.from_string(body))
        except TemplateSyntaxError as error:
            raise TemplateRefused(f"{origin}:{error.lineno + 1}: {error.message}") from None
        except TemplateError as error:
            raise TemplateRefused(f"{origin}: {error}") from None


def day(iso: str, zone: str = "UTC", language: str = FALLBACK) -> str:
    """A time as a date for the customer: in their zone and language, without a clock time."""
    at = datetime.fromisoformat(iso).astimezone(zone_info(zone))
    months = _MONTHS.get(language, _MONTHS[FALLBACK]).split()
    return _FORMS.get(language, _FORMS[FALLBACK]).format(d=at.day, m=months[at.month - 1], y=at.year)


def _written(template: _Compiled, origin: str, values: Mapping[str, Any]) -> Words:
    """Subject and text, from one set of values: setting up those costs as much as writing a line."""
    context = template.text.new_context(values)
    subject = " ".join(_bounded(template.subject, origin, context).split())
    return Words(subject[:200], _bounded(template.text, origin, context).strip() + "\n")


def _bounded(template: Any, origin: str, context: Any) -> str:
    """The text, as long as it and its time stay within bounds."""
    parts, length, deadline = [], 0, time.monotonic() + MAX_SECONDS
    try:
        for part in template.root_render_func(context):
            length += len(part)
            parts.append(part)
            if length > MAX_TEXT or time.monotonic() > deadline:
                raise TemplateRefused(f"{origin}: the text would be longer than {MAX_TEXT} characters, or takes too long")
    except TemplateError as error:
        raise TemplateRefused(f"{origin}: {error}") from None
    except (TypeError, ValueError) as error:
        if isinstance(error, TemplateRefused):
            raise
        raise TemplateRefused(f"{origin}: a filter cannot use what it is given ({type(error).__name__})") from None
    return "".join(parts)


def _admit(node: nodes.Node, origin: str, above: int, loops: int = 0) -> None:
    """Refuse whatever is not on the list of what a template may hold."""
    if not isinstance(node, _ADMITTED):
        raise TemplateRefused(f"{origin}:{node.lineno + above}: '{type(node).__name__.lower()}' is not admitted in templates")
    if isinstance(node, nodes.For):
        loops += 1
        if loops > 1 or node.recursive:
            raise TemplateRefused(f"{origin}:{node.lineno + above}: loops inside of loops are not admitted")
    if isinstance(node, nodes.Filter) and node.name not in _FILTERS:
        raise TemplateRefused(f"{origin}:{node.lineno + above}: there is no filter '{node.name}'; there are {', '.join(_FILTERS)}")
    for child in node.iter_child_nodes():
        _admit(child, origin, above, loops)
