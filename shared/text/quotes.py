"""What somebody wrote anew in a reply: without the quoted original, the mail program's lines and the signature below "-- ".

Careful on purpose: when it is not plain that lines are quoted, they stay. A complaint with a quotation left in it can be
read; one with words missing cannot. Forwarded text stays too: it is what the sender wants us to read. One pass, line by
line, so time grows with the length alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

# Words of headings only, never of what people say: what mail programs write before a quotation, by language.
_WROTE = (
    "wrote|writes|schrieb|schrieb am|geschrieben|a écrit|a ecrit|escribió|escribio|ha scritto|escreveu|schreef|skrev|skrifaði|"
    "kirjoitti|pisze|napisał|napisał\\(a\\)|napisała|napsal|napsal\\(a\\)|napísal|írta|написал|написал\\(а\\)|написала|пишет|написав|"
    "yazdı|yazmış|scris|a scris|έγραψε|כתב|كتب|写道|寫道|님이 작성|のメッセージ|が書き|さんは書きました|viết|menulis"
)
_ATTRIBUTION_END = re.compile(rf"(?:(?:{_WROTE})\b.{{0,120}}|\S.{{0,200}})[:：]\*?$", re.IGNORECASE)
_WROTE_LINE = re.compile(rf"(?:^|[\s>）)\]\"”»,]){{1}}(?:{_WROTE})(?:\W|$)", re.IGNORECASE)
_DATED = re.compile(r"\d{1,4}[./\-年 ,:]|@")
# Where nothing below is marked as quoted: what only a mail program writes, and what only a person does ("on 3 March your agent wrote:").
_BY_PROGRAM = re.compile(r"@|\d[:.h]\d\d\b")
_BY_PERSON = re.compile(
    r"\b(?:i|you|your|he|she|they|we|who|someone|somebody|agent|ich|ihre?|sie|er|mir|man|vous|votre|vos|je|usted|su|me|u|uw|ik)\b",
    re.IGNORECASE,
)
_SEPARATOR = re.compile(r"[-_=*]{2,}\s?([^\W\d_][^-_=*]{4,60}?)\s?[-_=*]{2,}$")
_FORWARD = re.compile(
    r"forward|weiterge|weitergeleit|transf[ée]r|reenviad|encaminhad|inoltrat|doorgestuurd|vidarebefordra|videresend|"
    r"пересыла|пересланн|przekazan|przesłan|edelleen|iletilen|转发|轉寄|転送|전달|redirec",
    re.IGNORECASE,
)
_ORIGINAL = re.compile(
    r"original|urspr[üu]ng|origine|oprind|alkuper|eredeti|oorspronkelijk|исходн|первонач|oryginaln|původní|pôvodn|"
    r"orijinal|özgün|原|원본|αρχικό|quoted|reply|antwort|réponse",
    re.IGNORECASE,
)
_RULE = re.compile(r"\s*(?:_{8,}|-{8,}|={8,}|\*{8,})\s*$")
# The heading block of Outlook and others. From, then at least two of sent, to, subject within the next lines.
_FROM = "from|von|de|da|van|från|fra|od|lähettäjä|kimden|gönderen|от|від|från|feladó|mittente|remitente|发件人|寄件者|差出人|보낸 사람|من"
_SENT = (
    "sent|date|gesendet|datum|envoyé|date d'envoi|enviado|enviada em|enviado el|fecha|data|inviato|verzonden|skickat|sendt|dato|wysłano|"
    "lähetetty|päivämäärä|gönderilme|tarih|отправлено|дата|sent at|发送时间|日期|送信日時|日付|보낸 날짜|elküldve|odesláno|on"
)
_TO = "to|an|à|a|para|til|till|do|vastaanottaja|kime|alıcı|кому|收件人|宛先|받는 사람|aan|címzett|komu"
_SUBJECT = "subject|betreff|objet|asunto|assunto|oggetto|onderwerp|ämne|emne|temat|aihe|konu|тема|主题|主旨|件名|제목|tárgy|předmět|re"
_FIELD = r"\s*\*?(?:{})\s*\*?\s*[:：]\*?(?:\s|$)"
_HEAD_FROM, _HEAD_SENT, _HEAD_TO, _HEAD_SUBJECT = (
    re.compile(_FIELD.format(words), re.IGNORECASE) for words in (_FROM, _SENT, _TO, _SUBJECT)
)
_MARKER = re.compile(
    r"(?:please\s+)?(?:type your reply|reply|respond|write)\s+(?:your reply\s+)?above this line|bitte (?:antworten sie )?oberhalb dieser",
    re.IGNORECASE,
)
_SENT_FROM = re.compile(
    r"(?:sent (?:from|via|with|using)|get outlook for|gesendet (?:von|mit|über)|von meinem .{1,30} gesendet|diese nachricht wurde von mein|"
    r"envoyé (?:de|depuis|à partir)|enviado (?:desde|do|de meu|a partir)|inviato da|verstuurd vanaf|verzonden vanaf|skickat från|"
    r"sendt fra|lähetetty|wysłan[eo] z|отправлено (?:с|из)|obtenir outlook|obtener outlook|outlook für (?:ios|android)|"
    r"download outlook|iphoneから送信|从我的|發自我的|나의 iphone|sent on the go|yahoo mail|my (?:iphone|android|samsung))",
    re.IGNORECASE,
)  # fmt: skip
_QUOTED = re.compile(r"[ \t\u00a0]{0,3}[>＞](?![:;][-']?[()])")
_DELIMITER = re.compile(r"(?:> ?)*-- ?\u00a0?$")

MAX_SIGNATURE_LINES = 12
MAX_HEADING_LINES = 9
MAX_LINE = 400


class Stripped(NamedTuple):
    """`text` is what is new; `changed` says that it is not all there was."""

    text: str
    changed: bool


def strip_reply(text: str) -> Stripped:
    """The new words of a message as plain text (newlines as line ends). All of it, when nothing would be left."""
    lines = text.split("\n")
    heads = [line[:MAX_LINE].rstrip() for line in lines]
    end, forwarded = _end_of_new(heads)
    kept = _without_signature(heads, _new_lines(heads, end)) + list(range(forwarded, len(heads)))
    if not any(heads[i].strip() for i in kept):
        return Stripped(text.strip("\n"), False)
    new = "\n".join(lines[i] for i in kept).lstrip("\n").rstrip()
    new = re.sub(r"\n{3,}", "\n\n", new) if len(kept) < len(lines) else new
    return Stripped(new, new.split() != text.split())


def _end_of_new(heads: Sequence[str]) -> tuple[int, int]:
    """The line at which an original begins that is quoted whole below, and the one at which forwarded text begins.

    The number of lines, where there is none.
    """
    below = _quoted_and_own_below(heads)
    written = False
    for i, line in enumerate(heads):
        bare = line.strip()
        if not bare:
            continue
        if _has_marker(bare):
            return i, len(heads)
        if written:
            rule = bool(_RULE.match(line))
            if _heading_block(heads, i + 1 if rule else i, rule):
                return i, len(heads)
            if _original(bare) and not _FORWARD.search(bare):
                return i, len(heads)
            end = _attribution(heads, i)
            # Own lines among or under the quoted ones are his answers: then only the quoted lines go.
            if end and not (all(below[end]) and _QUOTED.match(_next_line(heads, end))):
                return i, len(heads)
        if _forwarded(heads, i):
            return i, i  # from here on it is what he wants us to read
        written = written or not _QUOTED.match(line)
    return len(heads), len(heads)


def _has_marker(line: str) -> bool:
    # The expression is slow on long lines, and almost no line has these words.
    lowered = line.lower()
    return ("this line" in lowered or " dieser" in lowered) and _MARKER.search(line) is not None


def _original(line: str) -> bool:
    found = _SEPARATOR.match(line)
    return found is not None and _ORIGINAL.search(found.group(1)) is not None


def _forwarded(heads: Sequence[str], i: int) -> bool:
    line = heads[i].strip()
    found = _SEPARATOR.match(line)
    if found is not None:
        return _FORWARD.search(found.group(1)) is not None
    return bool(
        re.match(
            r"(?:begin forwarded message|anfang der weitergeleiteten|début du message (?:transféré|réexpédié))",
            line,
            re.I,
        )
    )


def _heading_block(heads: Sequence[str], i: int, after_rule: bool) -> bool:
    """From, Sent, To, Subject as Outlook writes them: three of them at least, From first unless a rule stands above."""
    while i < len(heads) and not heads[i].strip():
        i += 1
    near = heads[i : i + MAX_HEADING_LINES]
    kinds = [any(pattern.match(line) for line in near) for pattern in (_HEAD_FROM, _HEAD_SENT, _HEAD_TO, _HEAD_SUBJECT)]
    if not near or not kinds[0] or not kinds[1] or sum(kinds) < 3:
        return False
    return bool(
        _HEAD_FROM.match(near[0]) or (after_rule and (_HEAD_SENT.match(near[0]) or _HEAD_SUBJECT.match(near[0])))
    )


def _attribution(heads: Sequence[str], i: int) -> int:
    """Where the heading "On <date>, <name> wrote:" that begins here ends (the line after it); 0 if none does.

    It may be broken over three lines, names a day or an address, and has quoted lines under it, or says "wrote" as only a
    mail program does: with an address, or a time of day and no "you" or "he".
    """
    if _QUOTED.match(heads[i]):
        return 0
    joined = ""
    for end in range(i, min(i + 3, len(heads))):
        bare = heads[end].strip()
        if not bare or _QUOTED.match(heads[end]):
            return 0
        joined = f"{joined} {bare}".strip()
        if bare[-1] in ":：*" and _ATTRIBUTION_END.search(joined) and _DATED.search(joined):
            quoted = bool(_QUOTED.match(_next_line(heads, end + 1)))
            if not quoted and (not _BY_PROGRAM.search(joined) or ("@" not in joined and _BY_PERSON.search(joined))):
                return 0
            if _WROTE_LINE.search(joined) and (end > i or _starts_like_attribution(joined)):
                return end + 1
            return end + 1 if quoted and (end == i or _starts_like_attribution(joined)) else 0
    return 0


def _next_line(heads: Sequence[str], i: int) -> str:
    """The next line that says something, if it is near."""
    return next((heads[n] for n in range(i, min(i + 3, len(heads))) if heads[n].strip()), "")


def _starts_like_attribution(line: str) -> bool:
    """With a day, an address or a short word before either: not in the middle of a sentence that ends in a colon."""
    return _DATED.search(line[:90]) is not None


def _quoted_and_own_below(heads: Sequence[str]) -> list[tuple[int, int]]:
    """For each line: how many quoted lines, and how many others that say something, come from there on."""
    counts = [(0, 0)]
    for line in reversed(heads):
        quoted, own = counts[-1]
        if _QUOTED.match(line):
            counts.append((quoted + 1, own))
        else:
            counts.append((quoted, own + bool(line.strip())))
    return counts[::-1]


def _new_lines(heads: Sequence[str], end: int) -> list[int]:
    """The lines before `end` without quoted ones, and without the heading just above those."""
    kept: list[int] = []
    i = 0
    while i < end:
        if _QUOTED.match(heads[i]):
            block = i
            while block < end and (
                _QUOTED.match(heads[block]) or (not heads[block].strip() and _quote_goes_on(heads, block, end))
            ):
                block += 1
            headed = _drop_heading(heads, kept)
            # One line that begins with a greater-than sign may be the writer's own.
            if headed or block - i > 1:
                i = block
                continue
        kept.append(i)
        i += 1
    return kept


def _quote_goes_on(heads: Sequence[str], i: int, end: int) -> bool:
    return any(_QUOTED.match(heads[n]) for n in range(i + 1, min(i + 3, end)) if heads[n].strip())


def _drop_heading(heads: Sequence[str], kept: list[int]) -> bool:
    """Remove "On <date>, <name> wrote:" from the end of what is kept; True if it was there."""
    last = len(kept)
    while last and not heads[kept[last - 1]].strip():
        last -= 1
    for back in range(1, min(3, last) + 1):
        if _attribution(heads, kept[last - back]) > kept[last - 1]:
            del kept[last - back :]
            return True
    return False


def _without_signature(heads: Sequence[str], kept: list[int]) -> list[int]:
    """Without the block below "-- " at the end, and without "Sent from my phone"."""
    tail = kept[-MAX_SIGNATURE_LINES - 1 :]
    for place, number in enumerate(tail):
        if _DELIMITER.match(heads[number]):
            kept = kept[: len(kept) - len(tail) + place]
            break
    while (last := next((n for n in range(len(kept) - 1, -1, -1) if heads[kept[n]].strip()), None)) is not None:
        if not _is_sent_from(heads[kept[last]]):
            break
        kept = kept[:last]
    return kept


def _is_sent_from(line: str) -> bool:
    bare = line.strip().strip("<>[]*_")
    return len(bare) <= 90 and _SENT_FROM.match(bare) is not None
