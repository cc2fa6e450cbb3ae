"""What contact-centre systems send when something happens, and answer when they are asked for the text of it."""

from __future__ import annotations

from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

TOKENS = {
    "zendesk": "bot@example.com/token:t0k", "freshdesk": "fdkey", "hubspot": "pat-1", "front": "front-token", "intercom": "ic-token",
    "salesforce": '{"client_id": "id", "client_secret": "s"}', "chatwoot": "cw-token", "zammad": "zm-token",
    "genesys": '{"client_id": "id", "client_secret": "s"}',
}  # fmt: skip
ANSWERS: dict[str, Any] = {
    "/api/v2/tickets/9.json": {
        "ticket": {
            "id": 9,
            "description": "It leaks.",
            "requester_id": 4,
            "via": {"channel": "email"},
            "status": "open",
            "created_at": "2026-03-02T08:00:00Z",
        },
        "users": [{"id": 4, "name": "Sam", "email": "sam@example.com"}],
    },
    "/api/v2/tickets/5": {
        "id": 5,
        "subject": "S",
        "description": "<p>It leaks.</p>",
        "description_text": "It leaks.",
        "status": 2,
        "requester_id": 1,
        "requester": {"id": 1, "email": "sam@example.com"},
    },
    "/crm/v3/objects/tickets/77": {
        "id": "77",
        "properties": {"subject": "S", "content": "It leaks.", "hs_ticket_priority": "HIGH"},
    },
    "/messages/msg_1": {
        "id": "msg_1",
        "type": "email",
        "is_inbound": True,
        "blurb": "It",
        "text": "It leaks.",
        "body": "<p>It leaks.</p>",
        "recipients": [{"role": "from", "handle": "sam@example.com"}],
    },
    "/conversations/1": {
        "type": "conversation",
        "id": "1",
        "source": {"id": "5", "body": "<p>It leaks.</p>", "author": {"type": "user", "email": "sam@example.com"}},
        "conversation_parts": {"conversation_parts": []},
    },
    "/services/data/v60.0/sobjects/Case/500000000000001AAA": {
        "attributes": {"type": "Case"},
        "Id": "500000000000001AAA",
        "Description": "It leaks.",
        "SuppliedEmail": "sam@example.com",
        "Status": "New",
    },
    "/conversations/8/messages": {
        "meta": {"labels": [], "contact": {"id": 7, "name": "Sam", "email": "sam@example.com"}},
        "payload": [
            {"id": 21, "content": "Hello, how can we help?", "message_type": 3, "created_at": 1772438400, "private": False},
            {"id": 22, "content": "It leaks.", "message_type": 0, "created_at": 1772438405, "private": False, "content_attributes": {},
             "sender": {"id": 7, "name": "Sam", "email": "sam@example.com", "type": "contact"}},
            {"id": 23, "content": "Any news?", "message_type": 0, "created_at": 1772438500, "private": False},
        ],
    },
    "/api/v2/speechandtextanalytics/conversations/c1/communications/s1/transcripturl": {"url": "{base}/signed/c1.json"},
    "/signed/c1.json": {
        "conversationId": "c1", "startTime": 1772438400123, "transcripts": [{"phrases": [
            {"text": "How can I help?", "participantPurpose": "internal", "startTimeMs": 1},
            {"text": "It leaks.", "participantPurpose": "external", "startTimeMs": 2},
        ]}],
    },
    "/api/v2/conversations/emails/c2/messages": {"entities": [
        {"id": "m2", "time": "2026-03-02T09:00:00Z"}, {"id": "m1", "time": "2026-03-02T08:00:00Z"},
    ]},
    "/api/v2/conversations/emails/c2/messages/m1": {"id": "m1", "textBody": "It leaks.", "time": "2026-03-02T08:00:00Z"},
    "/api/v2/conversations/messages/c3": {"participants": [
        {"purpose": "acd"}, {"purpose": "customer", "messages": [{"messageId": "m9"}, {"messageId": "m10"}]},
    ]},
    "/api/v2/conversations/messages/c3/messages/m9": {"id": "m9", "textBody": "It leaks.", "timestamp": "2026-03-02T08:00:00Z"},
    "/api/v1/ticket_articles/by_ticket/2": [
        {"id": 3, "ticket_id": 2, "sender": "System", "type": "note", "internal": True, "body": "triggered", "content_type": "text/plain"},
        {"id": 4, "ticket_id": 2, "sender": "Customer", "type": "email", "internal": False, "from": "Sam <sam@example.com>",
         "content_type": "text/html", "body": "<p>It leaks.</p>", "created_at": "2026-03-02T08:00:00.000Z"},
    ],
}  # fmt: skip
EVENTS: dict[str, Any] = {
    "zendesk": {
        "type": "zen:event-type:ticket.created",
        "id": "01J",
        "time": "2026-03-02T09:30:00Z",
        "subject": "zen:ticket:9",
        "detail": {"id": "9"},
    },
    "freshdesk": {"ticket": {"id": 5, "subject": "S", "status": 2, "requester_id": 1}},
    "hubspot": [
        {
            "eventId": 1,
            "subscriptionType": "ticket.creation",
            "objectId": 77,
            "portalId": 1,
            "occurredAt": 1772438400123,
        }
    ],
    "front": {
        "type": "inbound",
        "id": "evt_1",
        "conversation": {"id": "cnv_1"},
        "emitted_at": 1772438400.5,
        "target": {"_meta": {"type": "message"}, "data": {"id": "msg_1", "is_inbound": True, "blurb": "It"}},
    },
    "intercom": {
        "type": "notification_event",
        "topic": "conversation.user.created",
        "id": "notif_1",
        "data": {"item": {"id": "1", "type": "conversation"}},
    },
    "salesforce": {"attributes": {"type": "Case"}, "Id": "500000000000001AAA"},
    "chatwoot": {"event": "conversation_created", "id": 8, "status": "open", "messages": [], "created_at": 1772438400},
    "genesys": {"id": "e1", "detail-type": "v2.detail.events.conversation.{id}.customer.start", "detail": {
        "topicName": "v2.detail.events.conversation.c1.customer.start", "eventBody": {
            "conversationId": "c1", "sessionId": "s1", "direction": "INBOUND", "mediaType": "VOICE", "ani": "tel:+447700900123"}}},
    "zammad": {"ticket": {"id": 2, "state": "new", "created_at": "2026-03-02T08:00:00Z"}, "article": {}},
}


class Api:
    """The systems' APIs, all at one address. `failing` are the answers that come first."""

    def __init__(self) -> None:
        self.failing: list[Response] = []
        self.asked: list[tuple[str, str]] = []
        self.app = Starlette(routes=[Route("/{path:path}", self._answer, methods=["GET", "POST"])])

    async def _answer(self, request: Request) -> Response:
        given = request.headers.get("authorization") or f"Own {request.headers.get('api_access_token')}"
        if request.url.path == "/services/oauth2/token":
            assert await request.body() == b"grant_type=client_credentials&client_id=id&client_secret=s"
            return JSONResponse({"access_token": "bought", "token_type": "Bearer"})
        if request.url.path == "/oauth/token":
            assert (await request.body(), given) == (b"grant_type=client_credentials", "Basic aWQ6cw==")
            return JSONResponse({"access_token": "bought", "token_type": "bearer"})
        self.asked.append((request.url.path, given))
        if self.failing:
            return self.failing.pop(0)
        if request.url.path not in ANSWERS:
            return JSONResponse({"error": "RecordNotFound"}, 404)
        answer = orjson.dumps(ANSWERS[request.url.path]).replace(b"{base}", str(request.base_url).rstrip("/").encode())
        return Response(answer, media_type="application/json")
