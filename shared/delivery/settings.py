"""Where messages go: the mail server from AMENDS_DELIVERY_*, and named endpoints from a file."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from shared.delivery.guard import Network
from shared.errors import StartRefused

log = structlog.get_logger(__name__)


class DeliverySettings(BaseSettings):
    """How to reach the world outside. Nothing set: messages fail with a reason that says what to set."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_DELIVERY_", frozen=True, extra="ignore")

    smtp_host: str = Field("", description="Mail server (submission). Empty: no e-mail is sent.")
    smtp_port: int = Field(587, ge=1, le=65535, description="Port of the mail server.")
    smtp_tls: Literal["starttls", "tls", "none"] = Field(
        "starttls", description="How to connect. none only on a network that you trust."
    )
    smtp_username: str | None = Field(None, description="User name for the mail server.")
    smtp_password: SecretStr | None = Field(None, description="Password for the mail server.")
    mail_from: str = Field("", description="Sender of mails, e.g. 'Example Care <care@example.com>'.")
    maildir: Path | None = Field(
        None, description="Without a mail server: a folder (Maildir) that mails are put in, to look at. For trying."
    )
    endpoints_file: Path | None = Field(
        None, description="YAML file with the webhooks, chats and contact centres (docs/how-to/delivery.md)."
    )
    allow_networks: Annotated[tuple[Network, ...], NoDecode] = Field(
        (), description="Networks that are not public and may be called all the same, e.g. '10.1.0.0/16,127.0.0.0/8'."
    )
    budget_per_hour: int = Field(
        12, ge=1, description="Notifications that one person gets in an hour; what is more is put together in digests."
    )
    digest_minutes: int = Field(15, ge=1, description="How long notifications over the budget are gathered (minutes).")

    @field_validator("allow_networks", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
        return value


class Endpoint(BaseModel):
    """One webhook or chat. `secret` signs webhooks (Standard Webhooks: `whsec_` and base64); two may be live at a time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: SecretStr
    secrets: tuple[SecretStr, ...] = ()
    form: Literal["slack", "teams", "plain"] = "slack"
    headers: dict[str, SecretStr] = {}


class ContactCentre(BaseModel):
    """The API of a contact centre that is written back to. `user`: the agent's mail address, for a Zendesk API token.

    `account`: the number of a Chatwoot account. `headers` go with each request, e.g. for a gateway in front of it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Literal["zendesk", "zammad", "chatwoot", "freshdesk"]
    url: str
    account: int | None = Field(None, ge=1)
    user: str | None = None
    token: SecretStr
    headers: dict[str, SecretStr] = {}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.system == "chatwoot" and self.account is None:
            raise ValueError("chatwoot needs `account`, the number in the address of its pages")
        return self


class Endpoints(BaseModel):
    """The endpoints by name; the contact centres by the name of the source that their records come from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    webhooks: dict[str, Endpoint] = {}
    chats: dict[str, Endpoint] = {}
    contact_centres: dict[str, ContactCentre] = {}


class EndpointsFile:
    """The endpoints' file, and whether it has changed since it was read."""

    def __init__(self, path: Path | None) -> None:
        """Raises StartRefused, as `load_endpoints`."""
        self._path = path
        self.endpoints = load_endpoints(path)
        self._stamp = self._look()

    def changed(self) -> Endpoints | None:
        """The endpoints as they are now, if the file is another than before; one that cannot be used is said once, and
        what was read before stays."""
        stamp = self._look()
        if stamp is None or stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            self.endpoints = load_endpoints(self._path)
        except StartRefused as refused:
            log.error("the endpoints' file was changed and cannot be used; what was read before stays", reason=str(refused))
            return None
        log.info("the endpoints' file was read again")
        return self.endpoints

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat() if self._path is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_size, found.st_ino) if found is not None else None


def load_endpoints(path: Path | None) -> Endpoints:
    """Read the endpoints' file. Raises StartRefused with the file and what is wrong, never with a value."""
    if path is None:
        return Endpoints()
    try:
        return Endpoints.model_validate(YAML(typ="safe").load(path.read_text(encoding="utf-8")) or {})
    except OSError as error:
        raise StartRefused(f"AMENDS_DELIVERY_ENDPOINTS_FILE={path}: {error.strerror or 'cannot be read'}") from None
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}" if mark else ""
        raise StartRefused(f"{path}{where}: not YAML") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}" for e in error.errors(include_input=False)
        )
        raise StartRefused(f"{path}: {problems}") from None
