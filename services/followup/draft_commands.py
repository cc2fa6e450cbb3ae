"""`amends draft`: check a draft, and measure how well the check finds."""

from __future__ import annotations

import codecs
import json
from pathlib import Path
from typing import Annotated

import typer

from shared.cli import WrongUse

app = typer.Typer()
draft = typer.Typer(no_args_is_help=True, help="Check an agent's draft before it is sent. Advice only.")
app.add_typer(draft, name="draft")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Rules = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Draft rules, with lexicons beside them; default: those of the service."),
]


@draft.command("check", epilog="Example: amends draft check draft.json --json")
def check_draft(
    file: Annotated[Path, typer.Argument(metavar="FILE.json", help="The draft and its complaint.", show_default=False)],
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Show what an agent might regret in a draft, with a calmer wording, and what the complaint still lacks.

    FILE: {"draft": "...", "complaint": {"issues": ["..."], "impact": "...", "wanted": ["..."], "promises_broken": [],
    "remedies_allowed": ["refund up to 50 GBP"], "fault": "ours", "history": ["what was sent before"]}}. Only draft is
    required; fault is ours, customer, third_party or unknown.
    """
    from pydantic import ValidationError

    from services.followup.drafts import answer, default_rules
    from shared.policy.problems import PolicyRefused
    from shared.text.drafts.rules import rules_of
    from shared.text.drafts.spec import DraftToCheck

    try:
        given = DraftToCheck.model_validate_json(file.read_bytes().removeprefix(codecs.BOM_UTF8))
        told = answer(rules_of(rules) if rules else default_rules(), given)
    except OSError as error:
        raise WrongUse(f"{file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])
        raise WrongUse(f"{file}{f': {where}' if where else ''}: {first['msg']}") from None
    except PolicyRefused as refused:
        raise WrongUse(str(refused)) from None
    if as_json:
        typer.echo(json.dumps(told, ensure_ascii=False))
        return
    for kind in dict.fromkeys(finding["kind"] for finding in told["findings"]):
        same = [finding for finding in told["findings"] if finding["kind"] == kind]
        typer.echo(f"{kind}: " + ", ".join(f'"{finding["text"]}" (at {finding["span"][0]})' for finding in same))
        for text in filter(None, (same[0]["reason"], same[0]["suggestion"])):
            typer.echo(f"    {text}")
    for name, ask in told["asks"].items():
        typer.echo(f"missing: {name}" + (f"\n    {ask}" if ask else ""))
    if not told["findings"] and not told["missing"]:
        typer.echo("nothing to remark")


@draft.command("eval", epilog="Example: amends draft eval labelled.csv --json")
def evaluate_drafts(
    labelled: Annotated[
        Path,
        typer.Argument(
            metavar="LABELLED.csv",
            help="Columns draft, complaint (JSON), kinds, missing; several values by `;`, `none` for checked and none; "
            "an empty cell is not scored.",
            show_default=False,
        ),
    ],
    rules: Rules = None,
    as_json: AsJson = False,
) -> None:
    """Measure how well the draft check finds: precision and recall per kind and per thing missing."""
    from services.followup.drafts import default_rules
    from shared.policy.problems import PolicyRefused
    from shared.text import tally
    from shared.text.drafts import evaluate
    from shared.text.drafts.rules import rules_of

    try:
        chosen = rules_of(rules) if rules else default_rules()
        result = evaluate.evaluate(chosen, evaluate.rows_of(labelled))
    except (evaluate.UnreadableLabels, PolicyRefused) as error:
        raise WrongUse(str(error)) from None
    if as_json:
        typer.echo(json.dumps(result, ensure_ascii=False))
    else:
        typer.echo(f"{result['rows']} drafts, rules {result['rules']['id']} version {result['rules']['version']}\n")
        typer.echo("\n".join(tally.table(result)))
