"""One module per kind of sender; `ADAPTERS` finds them by the name that a stored delivery carries."""

from services.intake.adapters.canonical import Canonical
from services.intake.adapters.cloudevents import CloudEvents
from services.intake.submissions import Adapter

ADAPTERS: dict[str, Adapter] = {adapter.name: adapter for adapter in (Canonical(), CloudEvents())}
