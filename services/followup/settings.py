"""Follow-up's own settings."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class FollowUpSettings(BaseSettings):
    """How follow-up writes to customers."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_FOLLOWUP_", frozen=True, extra="ignore")

    public_url: str = Field(
        "", description="Address of the customer page as customers reach it (https://...). Empty: messages carry no link."
    )
    sender_name: str = Field("Customer care", description="Who signs the messages to customers.")
    templates: Path | None = Field(
        None, description="Folder of templates that go before the built-in ones (docs/how-to/templates.md)."
    )
    review_url: str = Field("", description="Where a satisfied customer may leave a review, if the policy asks for it.")
    link_days: int = Field(30, ge=1, le=365, description="How long the links to the customer page are valid (days).")
    link_key: SecretStr | None = Field(
        None, description="At least 32 random bytes in hex: signs the links. Default: made from AMENDS_ID_KEY."
    )
    webhook_secrets: tuple[SecretStr, ...] = Field(
        (), description='Secrets of POST /v1/hooks as JSON, e.g. ["whsec_..."]; two while you rotate. None: it refuses everything.'
    )
    link_key_before: SecretStr | None = Field(
        None, description="The link key before it was changed: its links are still accepted."
    )
