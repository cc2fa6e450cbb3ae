"""`amends policy`: check, test and try documents. Needs no running service."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from shared.cli import WrongUse
from shared.cli.client import AsJson, print_json
from shared.policy import schemas, yaml_source
from shared.policy.analysis.check import check
from shared.policy.analysis.proofs import proofs
from shared.policy.distribution.line import Versioned
from shared.policy.distribution.versions import READ_BY, kind_of, load_file
from shared.policy.document import load_policy
from shared.policy.editor import document_schema
from shared.policy.evaluate import Policy
from shared.policy.facts import Fact
from shared.policy.facts_json import FactsRefused, read_facts
from shared.policy.problems import PolicyRefused, Problem, describe
from shared.policy.tests_inside import coverage, run_tests

app = typer.Typer(
    name="policy",
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Check, test, publish and activate policy documents; see what was decided by them.\n\n"
    "Exit codes: 0 done, 1 problems found in the document, 2 wrong use (no such file, facts that are not JSON).",
)

MAX_BYTES = 4 * yaml_source.MAX_CHARACTERS
_TOO_LONG = f"longer than {MAX_BYTES // 1024:,} KiB"
PACKS = sorted((Path(__file__).parent / "packs").glob("*.yaml"))
File = Annotated[Path, typer.Argument(metavar="FILE", help="A policy document (YAML).", show_default=False)]


@app.command(
    epilog="Example: amends policy validate services/escalation/policy/escalation.retail.yaml",
)
def validate(
    file: File,
    prove: Annotated[
        bool, typer.Option("--prove", help="Prove it for every possible complaint, too (needs the extra `prove`).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Check a document: form, facts, conditions, outcomes, tests. Every problem is shown with its place.

    With --prove also: rules that nothing can reach, gaps, overlaps, and each invariant, with a complaint that breaks it.
    """
    policy, text, _ = _valid(file, {"valid": False}, as_json)
    if not isinstance(policy, Policy):
        _say_valid(policy, file, as_json)
        return
    proved, assumptions = proofs(policy, text) if prove else ([], ())
    errors = [each.problem for each in proved if each.is_error]
    warnings = (*policy.warnings, *(each.problem for each in proved if each.is_warning))
    if as_json:
        shown = {
            "valid": not errors,
            "errors": [e.as_json() for e in errors],
            "warnings": [w.as_json() for w in warnings],
        }
        also = {"proofs": [each.as_json() for each in proved], "assumptions": list(assumptions)} if prove else {}
        print_json(shown | also)
        raise typer.Exit(1 if errors else 0)
    _show(warnings, text, file, "warning")
    _show(tuple(errors), text, file, "error")
    for each in proved:
        if each.test is not None and each.finding.kind == "invariant":
            typer.echo(f"\nas a test of the document:\n{each.test}\n", err=True)
    for each in proved:
        if each.finding.result == "proved":
            typer.echo(f"{file}: proved: {each.finding.message}")
    if prove:
        typer.echo(f"assumed: {'; '.join(assumptions)}")
    if errors:
        typer.echo(f"{file}: {len(errors)} problem{'' if len(errors) == 1 else 's'}", err=True)
        raise typer.Exit(1)
    typer.echo(f"{file}: valid ({_title(policy)}, {len(policy.rules.rules)} rules, {policy.digest[:19]})")


@app.command(epilog="Example: amends policy test services/followup/policy/followup.retail.yaml --json")
def test(file: File, as_json: AsJson = False) -> None:  # noqa: PT028 (a command, not a test)
    """Run the tests inside a document. Each rule must be hit by one of them."""
    policy = load_document(file, {"passed": False}, as_json)
    outcomes = run_tests(policy)
    hit = coverage(policy, outcomes)
    missed = [rule for rule, names in hit.items() if not names]
    passed = all(outcome.passed for outcome in outcomes) and not missed
    if as_json:
        tests = [
            {
                "name": outcome.name,
                "passed": outcome.passed,
                "rules": list(outcome.rules),
                "outcome": outcome.outcome,
                "degraded": outcome.degraded,
                "differences": [{"name": n, "expected": e, "decided": d} for n, e, d in outcome.differences],
            }
            for outcome in outcomes
        ]
        about = {"id": policy.id, "version": policy.version, "digest": policy.digest}
        print_json({"passed": passed, "tests": tests, "coverage": hit, "uncovered": missed, "policy": about})
    else:
        for outcome in outcomes:
            typer.echo(f"{'passed' if outcome.passed else 'FAILED'}  {outcome.name}")
            for name, expected, decided in outcome.differences:
                typer.echo(f"        {name}: expected {_plain(expected)}, decided {_plain(decided)}")
        for rule in missed:
            typer.echo(f"FAILED  no test hits rule {rule}: add one whose complaint it matches")
        good = sum(outcome.passed for outcome in outcomes)
        covered = len(hit) - len(missed)
        typer.echo(f"{_title(policy)}: {good} of {len(outcomes)} tests passed, {covered} of {len(hit)} rules hit")
    raise typer.Exit(0 if passed else 1)


@app.command(name="eval", epilog="Example: amends policy eval escalation.yaml facts.json --json")
def evaluate(
    file: File,
    facts: Annotated[Path, typer.Argument(metavar="FACTS.json", help='{"as_of": TIME, "complaint": {...}}')],
    as_json: AsJson = False,
) -> None:
    """Decide one complaint by a document, as a service would, and show which inputs decided."""
    policy = load_document(file, {"valid": False}, as_json)
    try:
        given, warnings = read_facts(policy.schema, _facts(facts))
    except FactsRefused as refused:
        raise WrongUse(f"{facts}: {refused}") from None
    result = policy.decide(given)
    for message in (*warnings, *(f"degraded, the default was taken: {fault}" for fault in result.faults)):
        typer.echo(f"{facts}: {message}", err=True)
    if as_json:
        decided = {"outcome": result.outcome, "rules": list(result.rules), "inputs": result.inputs}
        about = {"version": policy.version, "digest": policy.digest, "degraded": result.degraded}
        print_json(decided | about)
        return
    typer.echo(f"{_title(policy)}{' DEGRADED' if result.degraded else ''}")
    _print_table("outcome", {name: _plain(value) for name, value in result.outcome.items()})
    _print_table("rules", {rule.id: rule.guidance or "" for rule in policy.rules.rules if rule.id in result.rules})
    _print_table("inputs", {path: _plain(value) for path, value in result.inputs.items()})


@app.command(epilog="Example: amends policy schema escalation --json")
def schema(
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="intake, escalation, followup or records.", show_default=False)
    ],
    document: Annotated[
        bool, typer.Option("--document", help="Instead the JSON Schema of documents, for editors to complete from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the facts that the conditions of a service's policies may read."""
    if document:
        print_json(document_schema())
        return
    if service not in schemas.services():
        raise WrongUse(f"there is no fact schema of '{service}'; choose one of {', '.join(schemas.services())}")
    table = schemas.schema(service, schemas.versions(service)[-1])
    if as_json:
        print_json(table.as_json())
        return
    typer.echo(f"{table.name} ({service})")
    for path, fact in _rows("", table.facts):
        typer.echo(f"  {path:<42} {fact.as_json()['type']:<16} {fact.doc}{' May be missing.' if fact.optional else ''}")
        if fact.values:
            typer.echo(f"  {'':<42} {'':<16} {', '.join(fact.values)}{', ...' if fact.open else ''}")


@app.command(epilog="Example: amends policy packs --json")
def packs(as_json: AsJson = False) -> None:
    """List the packs that come with Amends: legal regimes whose clocks run beside the service's own."""
    found = [load_policy(each.read_text(encoding="utf-8"), origin=each.name) for each in PACKS]
    if as_json:
        rows = [(policy, str(each)) for policy, each in zip(found, PACKS, strict=True)]
        print_json({"packs": [{"id": p.id, "version": p.version, "digest": p.digest, "file": f} for p, f in rows]})
        return
    for policy, file in zip(found, PACKS, strict=True):
        typer.echo(f"{_title(policy)}: {policy.document.metadata.reason}\n  {file}")
        for name, kind in policy.document.spec.clocks.items():
            typer.echo(f"  {name:<24} {kind.title}{f' ({kind.law})' if kind.law else ''}")


def _rows(prefix: str, facts: Any) -> list[tuple[str, Fact]]:
    rows: list[tuple[str, Fact]] = []
    for name, fact in facts.items():
        rows.append((prefix + name, fact))
        rows.extend(_rows(f"{prefix}{name}{'[]' if fact.many else ''}.", fact.fields))
    return rows


def checked(file: Path, as_json: bool) -> tuple[Versioned, str, dict[str, str]]:
    """A document that `validate` and `test` both pass, its text, and the texts that it names; otherwise the command says why
    and ends with 1."""
    policy, text, parts = _valid(file, {"published": False}, as_json)
    if not isinstance(policy, Policy):
        return policy, text, parts
    outcomes = run_tests(policy)
    failed = [outcome.name for outcome in outcomes if not outcome.passed]
    missed = [rule for rule, names in coverage(policy, outcomes).items() if not names]
    if failed or missed:
        if as_json:
            print_json({"published": False, "failed_tests": failed, "uncovered": missed})
        for name in failed:
            typer.echo(f"{file}: test failed: {name}", err=True)
        for rule in missed:
            typer.echo(f"{file}: no test hits rule {rule}", err=True)
        typer.echo(f"{file}: not published; see: amends policy test {file}", err=True)
        raise typer.Exit(1)
    return policy, text, parts


def _valid(file: Path, shape: dict[str, Any], as_json: bool) -> tuple[Versioned, str, dict[str, str]]:
    """A document of any kind, its text, and the texts that it names; what is wrong ends the command with 1. `shape`: see _refuse."""
    try:
        text = document_text(file)
        document, parts = load_file(file, text)
        if isinstance(document, Policy) and (found := check(document, text)):
            raise PolicyRefused(found, origin=str(file), text=text)
    except PolicyRefused as refused:
        _refuse(refused, shape, as_json, file)
    return document, text, parts


def load_document(file: Path, shape: dict[str, Any], as_json: bool) -> Policy:
    """The policy of a document; what is wrong with it ends the command with 1. `shape`: see _refuse."""
    try:
        text = document_text(file)
        if (kind := kind_of(text)) in READ_BY:
            measure = "amends intake eval" if kind == "ReadingRules" else "amends draft eval"
            raise WrongUse(f"{file}: {kind} decide nothing; measure them: {measure} LABELLED.csv --rules {file}")
        return load_policy(text, origin=str(file))
    except PolicyRefused as refused:
        _refuse(refused, shape, as_json, file)


def _say_valid(rules: Versioned, file: Path, as_json: bool) -> None:
    if as_json:
        print_json({"valid": True, "errors": [], "warnings": []})
    else:
        typer.echo(f"{file}: valid ({rules.id} version {rules.version}, {rules.digest[:19]})")


def _refuse(refused: PolicyRefused, shape: dict[str, Any], as_json: bool, file: Path) -> NoReturn:
    """Show what is wrong with the document and end with 1. `shape` is the JSON object's beginning.

    A problem of another file, which the document names, says which one.
    """
    if as_json:
        where = {} if refused.origin == str(file) else {"file": refused.origin}
        print_json({**shape, "errors": [each.as_json() | where for each in refused.problems], "warnings": []})
    else:
        _show(refused.problems, refused.text, Path(refused.origin), "error")
        count = len(refused.problems)
        typer.echo(f"{refused.origin}: {count} problem{'' if count == 1 else 's'}", err=True)
    raise typer.Exit(1)


def _show(problems: tuple[Problem, ...], text: str, file: Path, severity: str) -> None:
    for problem in problems:
        place, _, rest = describe(problem, origin=str(file), text=text).partition(": ")
        typer.echo(f"{place}: {severity}: {rest}", err=True)


def document_text(file: Path) -> str:
    """The text of a document. Raises PolicyRefused where it is no text, or longer than any policy; WrongUse without a file."""
    content = _content(file)
    if len(content) > MAX_BYTES:
        raise PolicyRefused([Problem(1, 1, None, f"the file is {_TOO_LONG}")], origin=str(file))
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise PolicyRefused([Problem(line, 1, None, "not UTF-8 text; save it as UTF-8")], origin=str(file)) from None


def _facts(file: Path) -> Any:
    """The JSON value of a file. Raises WrongUse."""
    content = _content(file)
    if len(content) > MAX_BYTES:
        raise WrongUse(f"{file}: {_TOO_LONG}")
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise WrongUse(f"{file}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    except json.JSONDecodeError as error:
        raise WrongUse(f"{file}:{error.lineno}:{error.colno}: not JSON: {error.msg}") from None
    except RecursionError:
        raise WrongUse(f"{file}: nested too deeply") from None
    except ValueError:  # Python refuses to read it
        raise WrongUse(f"{file}: a number has thousands of digits") from None


def _content(file: Path) -> bytes:
    """The bytes of a file, of a very long one only the beginning. Raises WrongUse."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise WrongUse(f"{file}: cannot be read: {error.strerror}") from None


def _print_table(title: str, rows: dict[str, str]) -> None:
    typer.echo(f"{title}:" if rows else f"{title}: none")
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        typer.echo(f"  {name:<{width}}  {value}".rstrip())


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _title(policy: Policy) -> str:
    return f"{policy.id} version {policy.version}"
