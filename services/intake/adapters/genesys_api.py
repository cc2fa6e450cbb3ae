"""Genesys Cloud's API, where the words of a conversation are: a call's transcript, the text of a mail or message. Pure.

Two steps each: the first answer says where the text is. What it says is read as the transcription event of its EventBridge.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from services.intake.adapters.fields import at, first, ident, objects, part, short, word

_MEDIA = {"email": "EMAIL", "chat": "CHAT", "messaging": "MESSAGE"}


def path(record: str, channel: str, session: str) -> str:
    """The first address."""
    if channel == "email":
        return f"/api/v2/conversations/emails/{record}/messages"
    if channel in ("messaging", "chat", "sms"):
        return f"/api/v2/conversations/messages/{record}"
    return f"/api/v2/speechandtextanalytics/conversations/{record}/communications/{session}/transcripturl"


def following(record: str, channel: str, answer: Any) -> str | None:
    """The address that the first answer gives, None where there is nothing more to ask."""
    if channel == "email":
        mails = sorted(objects(at(answer, "entities")), key=lambda mail: short(mail.get("time")) or "")
        found = next((ident(mail.get("id")) for mail in mails if ident(mail.get("id"))), None)
        return f"/api/v2/conversations/emails/{record}/messages/{quote(found, safe='')}" if found else None
    if channel in ("messaging", "chat", "sms"):
        sides = [side for side in objects(at(answer, "participants")) if word(side.get("purpose")) == "customer"]
        said = [ident(first(message, "messageId", "id")) for side in sides for message in objects(side.get("messages"))]
        found = next(filter(None, said), None)
        return f"/api/v2/conversations/messages/{record}/messages/{quote(found, safe='')}" if found else None
    return short(part(answer).get("url"), 4096)


def payload(record: str, channel: str, answer: Any) -> Any:
    """The last answer as a transcription event; the adapter finds nothing in one without words."""
    if channel in ("email", "messaging", "chat", "sms"):
        text = first(part(answer), "textBody", "body")
        utterances = [_utterance("EXTERNAL", text, 0, ident(part(answer).get("id")))]
    else:
        phrases = [phrase for each in objects(at(answer, "transcripts")) for phrase in objects(each.get("phrases"))]
        utterances = [
            _utterance(
                "EXTERNAL" if word(phrase.get("participantPurpose")) == "external" else "INTERNAL",
                first(phrase, "decoratedText", "text"), phrase.get("startTimeMs"), f"phrase:{number}",
            )
            for number, phrase in enumerate(phrases)
        ]  # fmt: skip
    body = {
        "conversationId": record, "mediaType": _MEDIA.get(channel, "VOICE"), "transcripts": utterances,
        "eventTime": first(part(answer), "time", "timestamp", "startTime"),
    }  # fmt: skip
    topic = f"v2.conversations.{record}.transcription"
    return {"id": f"api:{record}", "detail-type": topic, "detail": {"topicName": topic, "eventBody": body}}


def _utterance(channel: str, text: Any, offset: Any, utterance_id: str | None) -> dict[str, Any]:
    return {"utteranceId": utterance_id, "isFinal": True, "channel": channel, "alternatives": [{"transcript": text, "offsetMs": offset}]}
