"""What a complaint still lacks: issues not answered, impact not named, no apology, option, date, ownership, next step."""

from __future__ import annotations

from shared.text.drafts.rules import DraftRules, Language
from shared.text.drafts.sentences import Reading, Sentence
from shared.text.drafts.spec import Case

_SAME_REMEDY = 0.6
_MOST = 0.5
_EXCUSES = frozenset(("policy_hiding", "policy_hiding.perhaps", "absolute"))
_FAULTS = frozenset(("blame", "defensive", "absolute", "dismissive", "policy_hiding", "sarcasm", "arguing", "sorry_if"))
_APART = frozenset(("defensive", "dismissive", "sarcasm"))
# A refusal is an answer, however unwelcome; so is that it did not happen.
_REFUSALS = frozenset(("does.refusal", "policy_hiding", "policy_hiding.perhaps", "arguing"))


def find_missing(rules: DraftRules, language: Language, read: Reading, case: Case) -> tuple[str, ...]:
    """The names of what is missing, in a fixed order."""
    overlap = rules.spec.overlap
    share = language.vocabulary.share
    offers = [sentence for sentence in read.sentences if _offers(sentence, case, language)]
    steps = [sentence for sentence in read.sentences if _acts(sentence)]
    acts = bool(offers or steps)
    answers = bool(offers) or any("does.asking" not in sentence.labels for sentence in steps)
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
        and not any(_restates(issue, read, language, overlap.issue, offers) for issue in case.issues)
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
    told = _answering(read)
    others = frozenset().union(*(language.vocabulary.stems(other) for other in case.issues if other != issue))
    own = language.vocabulary.stems(issue) - others
    return (acts or refuses) and (share(issue, told) >= least or bool(own & told))


def _answering(read: Reading) -> frozenset[str]:
    stems: set[str] = set()
    for sentence in read.sentences:
        if "sorry_if" not in sentence.labels:
            stems |= sentence.stems
    return frozenset(stems)


def _acts(sentence: Sentence) -> bool:
    """Something is done; what stands in a fault of the agent's is it only with a time or a remedy."""
    labels = {label.removesuffix(".perhaps") for label in sentence.labels}
    return "does.action" in labels and (
        not labels & _FAULTS or bool(labels & {"does.date", "does.day", "does.remedy"} and not labels & _REFUSALS)
    )


def _offers(sentence: Sentence, case: Case, language: Language) -> bool:
    """A remedy, with something that is done about it or a time; a refusal of one is none.

    What is done by a day is a remedy, too, unless it is only that somebody is told or looks.
    """
    labels = sentence.labels
    if not labels & {"does.action", "does.date", "does.day"} or (
        "does.refusal" in labels and "does.action" not in labels
    ):
        return False
    ahead = "does.date" in labels or ("does.day" in labels and "does.past" not in labels)
    if "does.remedy" in labels or (ahead and "does.action" in labels and "does.telling" not in labels):
        return True
    return any(language.vocabulary.share(remedy, sentence.stems) >= _SAME_REMEDY for remedy in case.remedies_allowed)


def _dated(sentence: Sentence) -> bool:
    """A time to come; a day or an hour alone may also be told of the past, and so may the date of a promise not kept."""
    if "does.date" in sentence.labels:
        return "does.owning" not in sentence.labels or "does.action" in sentence.labels
    return "does.day" in sentence.labels and ("does.action" in sentence.labels or "does.past" not in sentence.labels)


def _restates(issue: str, read: Reading, language: Language, least: float, offers: list[Sentence]) -> bool:
    """Whether a draft tells the issue again: most of its words, a share of them where nothing is excused, or one where
    nothing is offered, either."""
    told: set[str] = set()
    unexcused: set[str] = set()
    for sentence in read.sentences:
        if not sentence.labels & _EXCUSES:
            unexcused |= sentence.stems
            if sentence not in offers and not sentence.labels & _APART:
                told |= sentence.stems
    share = language.vocabulary.share
    return (
        share(issue, read.stems) > _MOST
        or share(issue, frozenset(unexcused)) >= least
        or share(issue, frozenset(told)) > 0
    )
