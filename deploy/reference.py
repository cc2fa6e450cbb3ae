"""`amends docs`: the reference pages that are made from the code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from shared.cli import Failed, WrongUse
from shared.http.scopes import SERVICES

if TYPE_CHECKING:
    from pydantic_settings import BaseSettings

app = typer.Typer()
FOLDER = Path("docs/reference")
_SETTINGS_HEAD = """\
# Settings

Made from `shared/config.py`; do not edit. Every service reads its settings once, at its start, from the environment; a
wrong or missing one is named and the service does not start.

"""


@app.command(epilog="Example: amends docs --check")
def docs(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; end with 1 and name what is stale.")] = False,
) -> None:
    """Write the reference of settings, metrics and HTTP APIs again. Run it in the checkout."""
    if not Path("pyproject.toml").is_file():
        raise WrongUse("run it in the checkout of Amends")
    stale = [path for path, text in pages().items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if check and stale:
        raise Failed(f"stale: {', '.join(map(str, stale))}; write them again with: make docs")
    for path, text in pages().items() if stale else ():
        if path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            typer.echo(f"wrote {path}")


def pages() -> dict[Path, str]:
    """Every generated page with its text."""
    import json

    from shared.policy.editor import document_schema
    from shared.telemetry import metrics

    texts = {FOLDER / "settings.md": settings_page(), FOLDER / "metrics.md": metrics.reference_page()}
    for service in SERVICES:
        texts[FOLDER / f"openapi-{service}.json"] = openapi(service)
    texts[FOLDER / "policy.schema.json"] = json.dumps(document_schema(), indent=2, ensure_ascii=False) + "\n"
    return texts


def openapi(service: str) -> str:
    """The OpenAPI document of one service."""
    import importlib
    import json
    import tempfile

    from deploy.local.services import new_id_key, own_master_keys
    from shared.config import KafkaSettings, ServiceSettings
    from shared.runtime import Base
    from shared.telemetry.health import Progress

    # The real composition root: nothing connects before it runs.
    nothing: Any = None
    with tempfile.TemporaryDirectory() as folder:
        settings = ServiceSettings.model_construct(
            id_key=_Secret(new_id_key()),  # type: ignore[arg-type]
            master_key_file=own_master_keys(Path(folder)),
        )
        base = Base(service, settings, KafkaSettings.model_construct(), nothing, nothing, Progress(), nothing)
        built = importlib.import_module(f"services.{service}.app").build(base)
    return json.dumps(built.app.openapi(), indent=2, ensure_ascii=False, sort_keys=True) + "\n"


class _Secret(str):
    def get_secret_value(self) -> str:
        return str(self)


def settings_page() -> str:
    """The text of docs/reference/settings.md."""
    from services.escalation.settings import EscalationSettings
    from services.followup.settings import FollowUpSettings
    from shared.config import KafkaSettings, OidcSettings, RecordsSettings, ServiceSettings, SmtpSettings
    from shared.delivery.settings import DeliverySettings

    parts: tuple[tuple[str, type[BaseSettings]], ...] = (
        ("Service", ServiceSettings),
        ("Kafka", KafkaSettings),
        ("People (OpenID Connect)", OidcSettings),
        ("Delivery", DeliverySettings),
        ("Escalation", EscalationSettings),
        ("Follow-up", FollowUpSettings),
        ("SMTP", SmtpSettings),
        ("Records", RecordsSettings),
    )
    return _SETTINGS_HEAD + "\n".join(_settings(title, model) for title, model in parts)


def _settings(title: str, model: type[BaseSettings]) -> str:
    lines = [f"## {title}", "", "| variable | default | meaning |", "| --- | --- | --- |"]
    prefix = model.model_config["env_prefix"]
    for name, field in model.model_fields.items():
        default = "required" if field.is_required() else "none" if field.default in (None, "") else f"`{field.default}`"
        lines.append(f"| `{prefix}{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"
