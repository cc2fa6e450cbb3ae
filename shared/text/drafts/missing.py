"""What a complaint still lacks: issues not answered, impact not named, no apology, option, date, ownership, next step."""

from __future__ import annotations

from shared.text.drafts.rules import DraftRules, Language
from shared.text.drafts.sentences import Reading, Sentence
from shared.text.drafts.spec import Case

_SAME_REMEDY = 0.6
_EXCUSES = frozenset(("policy_hiding", "policy_hiding.perhaps", "absolute"))
# A refusal is an answer, however unwelcome; so is that it did not happen.
_REFUSALS = frozenset(("does.refusal", "policy_hiding", "policy_hiding.perhaps", "arguing"))


def find_missing(rules: DraftRules, language: Language, read: Reading, case: Case) -> tuple[str, ...]:
    """The names of what is missing, in a fixed order."""
    overlap = rules.spec.overlap
    share = language.vocabulary.share
    offers = [sentence for sentence in read.sentences if _offers(sentence, case, language)]
    acts = bool(offers) or any("does.action" in s.labels for s in read.sentences)
    answers = bool(offers) or any("does.action" in s.labels and "does.asking" not in s.labels for s in read.sentences)
    refuses = any(sentence.labels & _REFUSALS for sentence in read.sentences)
    missing = [
        f"issue_{number}"
        for number, issue in enumerate(case.issues, start=1)
        if not (number == 1 and offers) and not _answered(issue, read, case, language, overlap.issue, answers, refuses)
    ]
    if case.impact and share(case.impact, read.stems) < overlap.impact:
        missing.append("impact")
    if not apologises(read):
        missing.append("apology")
    if not offers:
        missing.append("option")
    if not any(_dated(s) for s in read.sentences):
        missing.append("date")
    if case.promises_broken and not any("does.owning" in s.labels for s in read.sentences):
        missing.append("ownership")
    if not acts and not any("does.asking" in s.labels for s in read.sentences):
        missing.append("next_step")
    if (
        case.issues
        and not any(_restates(issue, read, language, overlap.issue) for issue in case.issues)
        and not (case.impact and "impact" not in missing)
    ):
        missing.append("read_back")
    return tuple(missing)


def apologises(read: Reading) -> bool:
    """Whether a draft says sorry without a condition."""
    return any("does.apology" in s.labels and "sorry_if" not in s.labels for s in read.sentences)


def _answered(
    issue: str, read: Reading, case: Case, language: Language, least: float, acts: bool, refuses: bool
) -> bool:
    """Sympathy and excuses answer nothing; a refusal does. With one issue, what is done is done about it."""
    share = language.vocabulary.share
    if len(case.issues) == 1:
        return acts or (refuses and share(issue, read.stems) > 0)
    return (acts or refuses) and share(issue, _answering(read)) >= least


def _answering(read: Reading) -> frozenset[str]:
    stems: set[str] = set()
    for sentence in read.sentences:
        if "sorry_if" not in sentence.labels:
            stems |= sentence.stems
    return frozenset(stems)


def _offers(sentence: Sentence, case: Case, language: Language) -> bool:
    """A remedy, with something that is done about it or a time; a refusal of one is none.

    What is done by a day is a remedy, too, unless it is only that somebody is told or looks.
    """
    labels = sentence.labels
    if not labels & {"does.action", "does.date", "does.day"} or (
        "does.refusal" in labels and "does.action" not in labels
    ):
        return False
    if "does.remedy" in labels or (labels >= {"does.action", "does.date"} and "does.telling" not in labels):
        return True
    return any(language.vocabulary.share(remedy, sentence.stems) >= _SAME_REMEDY for remedy in case.remedies_allowed)


def _dated(sentence: Sentence) -> bool:
    """A time to come; a day or an hour alone may also be told of the past."""
    if "does.date" in sentence.labels:
        return True
    return "does.day" in sentence.labels and ("does.action" in sentence.labels or "does.past" not in sentence.labels)


def _restates(issue: str, read: Reading, language: Language, least: float) -> bool:
    stems: set[str] = set()
    for sentence in read.sentences:
        if not sentence.labels & _EXCUSES:
            stems |= sentence.stems
    return language.vocabulary.share(issue, frozenset(stems)) >= least
