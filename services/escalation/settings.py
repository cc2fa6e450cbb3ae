"""What escalation needs besides the settings of every service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EscalationSettings(BaseSettings):
    """Where the teams stand."""

    model_config = SettingsConfigDict(env_prefix="AMENDS_ESCALATION_", frozen=True, extra="ignore")

    directory_file: Path | None = Field(
        None,
        description="Teams, members, tiers and desks (YAML); read again when it changes. Without it: what was stored by "
        "`amends directory put`, else the packaged example.",
    )
    link_base: str = Field(
        "", description="Address under which escalation is reached from outside, for the links in notifications. Empty: no links."
    )
