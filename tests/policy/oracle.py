"""Google's own evaluator over the same facts: what our evaluation must agree with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from google.protobuf import message_factory

from shared.policy.facts import Fact, FactSchema
from shared.policy.language.admit import admit
from shared.policy.language.closures import compile_expression
from shared.policy.language.frontend import PACKAGE, fact_messages, message_name, scope
from shared.policy.language.loading import Fault, Layout, loader
from shared.policy.language.operators import span

ERROR = "error"


class Oracle:
    """Evaluates a condition with cel_expr_python and with us."""

    def __init__(self, schema: FactSchema) -> None:
        self._schema = schema
        self._pool = fact_messages(schema)
        bodies = {"days": lambda n: _span_or_error(days=n), "hours": lambda n: _span_or_error(hours=n)}
        self.scope = scope(schema, functions=bodies)

    def data(self, facts: Mapping[str, Any]) -> Any:
        """The facts in the form that Google's evaluator takes."""
        return {name: self._value(name, fact, facts[name]) for name, fact in self._schema.facts.items()}

    def google(self, text: str) -> Callable[[Any], Any]:
        """A function from `data` to the value of the expression, or ERROR."""
        expression = self.scope.env.compile(text)

        def evaluate(data: Any) -> Any:
            value = expression.eval(data=data)
            return ERROR if value.type().name() == "ERROR" else value.plain_value()

        return evaluate

    def ours(self, text: str) -> Callable[[Mapping[str, Any]], Any]:
        """A function from facts to the value of the expression, or ERROR."""
        layout = Layout()
        compiled = compile_expression(admit(text, self.scope), layout)
        load = loader(layout)

        def evaluate(facts: Mapping[str, Any]) -> Any:
            try:
                return compiled(load(facts))
            except Fault:
                return ERROR

        return evaluate

    def _value(self, path: str, fact: Fact, value: Any) -> Any:
        if fact.many:
            return [self._one(path, fact, each) for each in value]
        return self._one(path, fact, value)

    def _one(self, path: str, fact: Fact, value: Any) -> Any:
        if fact.kind != "message":
            return value
        message = message_factory.GetMessageClass(
            self._pool.FindMessageTypeByName(f"{PACKAGE}.{message_name(path)}")
        )()  # fmt: skip
        for name, part in fact.fields.items():
            if name not in value:
                continue
            inner = self._value(f"{path}.{name}", part, value[name])
            field = getattr(message, name)
            if part.many:
                for each in inner:
                    if isinstance(each, datetime):
                        field.add().FromDatetime(each)
                    elif part.kind == "message":
                        field.add().CopyFrom(each)
                    else:
                        field.append(each)
            elif isinstance(inner, datetime):
                field.FromDatetime(inner)
            elif part.kind == "message":
                field.CopyFrom(inner)
            else:
                setattr(message, name, inner)
        return message


def _span_or_error(**units: int) -> timedelta:
    """days(n) and hours(n) are ours, so their range is too; Google's evaluator turns the exception into an error."""
    try:
        return span(**units)
    except Fault as fault:
        raise ValueError(str(fault)) from None
