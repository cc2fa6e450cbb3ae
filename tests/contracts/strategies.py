"""Valid events of every type, made from the models: each field alone, absent or present, by its own constraints."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Le, MaxLen, MinLen
from hypothesis import strategies as st
from pydantic import BaseModel, StringConstraints
from pydantic.fields import FieldInfo

from shared.contracts.envelope import EventData

# Letters that grow or change when lowered, astral planes, controls, JSON's own signs.
TEXT = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"]), st.sampled_from('"\\/\x00\x7f\u2028İẞΣ😡٣')), max_size=30
)
ZONES = st.builds(lambda minutes: timezone(timedelta(minutes=minutes)), st.integers(-14 * 60, 14 * 60))
# Far from the ends of the calendar, where a zone would lead beyond them.
TIMES = st.datetimes(datetime(1970, 1, 3), datetime(9999, 12, 30), timezones=st.one_of(st.just(UTC), ZONES))  # noqa: DTZ001
SCALARS = st.one_of(TEXT, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
JSON = st.recursive(
    st.one_of(st.none(), SCALARS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXT, inner, max_size=3)),
    max_leaves=5,
)
AMOUNTS = st.decimals(min_value=-(10**13), max_value=10**13, places=4, allow_nan=False, allow_infinity=False)


def events(model: type[EventData]) -> st.SearchStrategy[EventData]:
    """Instances of one event type."""
    return _models(model)


def _models(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    required = {name: _field(field) for name, field in model.model_fields.items() if field.is_required()}
    optional = {name: _field(field) for name, field in model.model_fields.items() if not field.is_required()}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: model(**fields))


def _field(field: FieldInfo) -> st.SearchStrategy[Any]:
    return _values(field.annotation, list(field.metadata))


def _values(annotation: Any, limits: list[Any]) -> st.SearchStrategy[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        inner = [part for limit in arguments[1:] for part in getattr(limit, "metadata", None) or [limit]]
        return _values(arguments[0], [*inner, *limits])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(_values(arguments[0], []), max_size=3).map(tuple)
    if origin is dict:
        values = JSON if arguments[1] is Any else _values(arguments[1], [])
        return st.dictionaries(TEXT, values, max_size=3)
    if origin is Union or origin is type(int | str):
        return st.one_of([_values(argument, []) for argument in arguments])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return _models(annotation)
    if annotation is str:
        return _texts(limits)
    if annotation is int:
        return st.integers(_limit(limits, Ge, "ge", -(2**70)), _limit(limits, Le, "le", 2**70))
    if annotation is Decimal:
        return AMOUNTS
    if annotation is float:
        least, most = (next((getattr(x, n) for x in limits if isinstance(x, k)), None) for k, n in ((Ge, "ge"), (Le, "le")))
        return st.floats(least, most, allow_nan=False, allow_infinity=False)
    if getattr(annotation, "__name__", "") == "AwareDatetime" or annotation is datetime:
        return TIMES
    return st.from_type(annotation)


def _texts(limits: list[Any]) -> st.SearchStrategy[str]:
    plain = [part for limit in limits for part in (limit if isinstance(limit, StringConstraints) else [limit])]
    pattern = next((limit.pattern for limit in limits if getattr(limit, "pattern", None)), None)
    if pattern is not None:
        return st.from_regex(pattern, fullmatch=True)
    least, most = _limit(plain, MinLen, "min_length", 0), _limit(plain, MaxLen, "max_length", 10**9)
    if least:
        return st.text("abcxyz-_/ßé", min_size=least, max_size=min(most, 20))
    # Now and then as long as it may be, in letters of several bytes.
    return st.one_of(TEXT, st.just("ç😡" * (min(most, 2_000) // 2)))


def _limit(limits: list[Any], kind: type[Any], name: str, otherwise: int) -> int:
    return next((getattr(limit, name) for limit in limits if isinstance(limit, kind)), otherwise)
