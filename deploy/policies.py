"""`amends policy`: documents, their distribution, and what was decided by them. Loads the language's front end."""

from __future__ import annotations

from deploy import replay
from shared.policy.analysis import commands as analysis
from shared.policy.backtest import commands as backtest
from shared.policy.commands import app
from shared.policy.distribution import commands, reading

__all__ = ["app"]

for part in (commands, reading, replay, backtest, analysis):
    app.add_typer(part.app)
