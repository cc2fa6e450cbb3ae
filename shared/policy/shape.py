"""The form of a policy document: which keys there are and what kind of value each holds.

Meaning (conditions, outcomes, facts) is checked by `document.py`; this is also what editors complete from.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, WithJsonSchema

from shared.policy.calendars import CALENDAR_SCHEMA
from shared.policy.problems import Problem, did_you_mean
from shared.policy.yaml_source import Node

PolicyId = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*(\.[a-z0-9_-]+)*$", max_length=100)]
EntryId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=64)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
Line = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Condition = Annotated[str, StringConstraints(min_length=1)]
SPAN = r"^[0-9]{1,6}(m|h|d)$"
Span = Annotated[str, StringConstraints(pattern=SPAN)]
AmountText = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,12}(\.[0-9]{1,4})? [A-Z]{3}$")]


class Shape(BaseModel):
    """A part of a document: unknown keys are refused, and nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Metadata(Shape):
    id: PolicyId
    version: Annotated[int, Field(ge=1, le=2**31)]
    supersedes: Annotated[int, Field(ge=1)] | None = None
    owner: Line
    reason: Line


class Rule(Shape):
    id: EntryId
    description: Line | None = None
    when: Condition
    then: dict[str, Any]
    guidance: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = None


class Monotone(Shape):
    """Raising (or lowering) a fact never lowers (or raises) an outcome."""

    raise_: str | None = Field(default=None, alias="raise")
    lower: str | None = None
    never_lowers: str | None = None
    never_raises: str | None = None


class ClockKind(Shape):
    """What a clock that rules name under `clocks` is.

    A legal clock is never paused; `law` says where it is written. It starts at `counts_from`; `warn_before` are the
    times before it is due at which somebody is told. It is met by a reply to the customer, or by the resolution.
    """

    title: Line
    legal: bool = False
    law: Line | None = None
    pausable: bool = False
    counts_from: Literal["received", "resolved"] = "received"
    warn_before: Annotated[list[Span], Field(max_length=5)] = []
    met_by: Literal["reply", "resolution"] = "resolution"


class PerCustomer(Shape):
    """At most `amount` in `window` for one customer, all complaints together."""

    amount: AmountText
    window: Span


class Remedy(Shape):
    """A remedy of the catalogue. `limit` bounds one offer, whoever makes it; `per_complaint` all offers of a complaint.

    `immediate`: the customer has it at once. `cost` is what it costs besides the amount that the customer gets.
    """

    title: Line
    kind: Literal[
        "refund", "exchange", "replacement", "repair", "discount", "workaround", "apology_experience", "apology_error",
        "payment", "other",
    ]  # fmt: skip
    immediate: bool = False
    cost: AmountText | None = None
    limit: AmountText | None = None
    per_complaint: AmountText | None = None
    per_customer: PerCustomer | None = None


class Invariant(Shape):
    """What must hold for every possible complaint: exactly one of `never` (a condition) and `monotone`."""

    id: EntryId
    description: Line | None = None
    never: Condition | None = None
    monotone: Monotone | None = None


class Test(Shape):
    name: Line
    given: dict[str, Any] = {}
    expect: dict[str, Any]


class Guardrails(Shape):
    """What a backtest over `window` must show before activation."""

    window: Span
    limits: dict[Name, str | int | float] = {}


class Rollout(Shape):
    """How a version is put in force: how long `activate --shadow` lasts, the share of complaints of `activate --canary`,
    whether deadlines of open complaints are worked out again, and how many people it takes."""

    shadow: Span | None = None
    canary_percent: Annotated[int, Field(ge=0, le=100)] | None = None
    applies_to: Literal["new_complaints", "all_complaints"] = "new_complaints"
    approvers: Annotated[int, Field(ge=1, le=2)] = 1


class Spec(Shape):
    language: Literal["cel-subset/1"]
    facts: str
    calendar: Annotated[Any, WithJsonSchema(CALENDAR_SCHEMA)] = "UTC"
    hit_policy: Literal["UNIQUE", "FIRST", "COLLECT"]
    aggregate: dict[str, Literal["MAX", "MIN"]] = {}
    variables: Annotated[dict[Name, Condition], Field(max_length=100)] = {}
    clocks: Annotated[dict[Name, ClockKind], Field(max_length=50)] = {}
    remedies: Annotated[dict[Name, Remedy], Field(max_length=100)] = {}
    rules: Annotated[list[Rule], Field(min_length=1, max_length=1000)]
    default: dict[str, Any]
    invariants: Annotated[list[Invariant], Field(max_length=200)] = []
    tests: Annotated[list[Test], Field(max_length=2000)] = []
    guardrails: Guardrails | None = None
    rollout: Rollout | None = None


class Document(Shape):
    """A policy document as its author wrote it."""

    apiVersion: Literal["complaints.policy/v1"]
    kind: Literal["IntakePolicy", "EscalationPolicy", "RegimePolicy", "FollowUpPolicy", "RecordsPolicy"]
    metadata: Metadata
    spec: Spec


def read_shape(root: Node) -> tuple[Document | None, list[Problem]]:
    """The document, or what is wrong with its form."""
    try:
        return Document.model_validate(root.plain()), []
    except ValidationError as error:
        return None, problems_of(root, error, Document)


def problems_of(root: Node, error: ValidationError, model: type[BaseModel]) -> list[Problem]:
    """What does not have the form of `model`, and where it stands."""
    found: list[dict[str, Any]] = [dict(each) for each in error.errors(include_url=False)]
    misspelt = {(*e["loc"][:-1], m) for e in found if e["type"] == "extra_forbidden" for m in _meant(model, e["loc"])}
    return [
        _problem(root, each, model) for each in found if each["type"] != "missing" or each["loc"] not in misspelt
    ]


def _meant(model: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The known key that the unknown one at `path` is probably a misspelling of."""
    return [key for key in _keys_at(model, path[:-1]) if did_you_mean(str(path[-1]), [key])]


def _problem(root: Node, error: dict[str, Any], model: type[BaseModel]) -> Problem:
    path: tuple[int | str, ...] = tuple(step for step in error["loc"] if step != "[key]")
    line, column = root.at(path)
    return Problem(line, column, entry_id(root, path), _message(path, error, model))


def entry_id(root: Node, path: tuple[int | str, ...]) -> str | None:
    """The id (or name) of the rule, invariant or test that the path is in."""
    node = root
    for step in path:
        if isinstance(node.value, dict) and step in node.value:
            node = node.value[step]
        elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            if isinstance(node.value, dict):
                for key in ("id", "name"):
                    if key in node.value and isinstance(node.value[key].value, str):
                        return str(node.value[key].value)
        else:
            return None
    return None


def _message(path: tuple[int | str, ...], error: dict[str, Any], model: type[BaseModel]) -> str:
    name, kind, context = str(path[-1]) if path else "the document", error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        known = _keys_at(model, path[:-1])
        return f"unknown key '{name}'{did_you_mean(name, known) or '; known here: ' + ', '.join(known)}"
    if kind == "missing":
        return f"'{name}' is missing"
    found = _shown(error["input"])
    if kind == "literal_error":
        expected = str(context["expected"]).replace("'", "")
        words = expected.replace(" or ", ", ").split(", ")
        hint = did_you_mean(error["input"], words) if isinstance(error["input"], str) else ""
        return f"{name} must be {expected}, not {found}{hint}"
    if kind == "string_type":
        return f"{name} must be text, not {found}" + (
            "; put it in quotes" if not isinstance(error["input"], (dict, list)) else ""
        )
    if kind in ("dict_type", "model_type"):
        return f"{name} must hold keys and values, not {found}"
    if kind == "string_pattern_mismatch" and context["pattern"] == SPAN:
        return f"{name}: {found} is not a duration such as 30m, 4h or 7d"
    if kind == "string_pattern_mismatch":
        return f"{name}: {found} is not of the form {context['pattern']}"
    if kind in ("too_short", "too_long"):
        return f"{name} must hold {_bound(context)} entries, not {context['actual_length']}"
    if kind in ("string_too_short", "string_too_long"):
        return f"{name} must have {_bound(context)} characters, not {len(error['input'])}"
    if kind in ("int_type", "int_from_float"):
        return f"{name} must be a whole number, not {found}"
    if kind == "list_type":
        return f"{name} must be a list, not {found}"
    return f"{name}: {str(error['msg'])[:1].lower()}{str(error['msg'])[1:]}, found {found}"


def _bound(context: dict[str, Any]) -> str:
    return f"at least {context['min_length']}" if "min_length" in context else f"at most {context['max_length']}"


def _keys_at(root: type[BaseModel], path: tuple[int | str, ...]) -> list[str]:
    """The keys that the form knows at that place."""
    model: Any = root
    for step in path:
        if isinstance(step, int):
            continue
        fields = getattr(model, "model_fields", {})
        by_key = {field.alias or name: field for name, field in fields.items()}
        if step not in by_key:
            return []
        model = _model_in(by_key[step].annotation)
    return [field.alias or name for name, field in getattr(model, "model_fields", {}).items()]


def _model_in(annotation: Any) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for part in getattr(annotation, "__args__", ()):
        if (found := _model_in(part)) is not None:
            return found
    return None


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "nothing"
    if isinstance(value, (dict, list)):
        return "a list" if isinstance(value, list) else "keys and values"
    return f"'{str(value)[:60]}'"
