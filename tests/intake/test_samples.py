"""The adapters on real payloads, where they are at hand; they may not be part of the project, so without them this is skipped."""

from __future__ import annotations

import pytest

from services.intake import trying
from tests.samples import SAMPLES

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="the samples are not here")
OUTCOMES = {
    "zendesk/messaging_message_added_bot.docs-2025.json": ["set_aside"],
    "zendesk/ticket_created.captured-2025.json": ["complaint"],
    "freshdesk/ticket_with_conversations.json": ["complaint", "reply", "set_aside", "contact", "status"],
    "chatwoot/conversation_created.thirdparty-docs.json": ["complaint"],
    "chatwoot/message_created.captured-2026.json": ["complaint"],
    "intercom/notification_envelope.hookdeck.json": ["complaint"],
    "hubspot/webhook_batch_contact_creation.hookdeck.json": ["set_aside"],
    "genesys/eventbridge_transcription.sample.json": ["complaint", "reply"],
    "genesys/eventbridge_transcription_session_ended.sample.json": ["set_aside"],
    "amazon-connect/contact_event_connected_to_agent.docs.json": ["complaint"],
    "amazon-connect/contact_event_disconnected.docs.json": ["set_aside"],
    "amazon-connect/ctr_voice_inbound.captured.json": ["complaint"],
    "twilio/event_streams_cloudevent_participant_added.docs.json": ["set_aside"],
    "twilio/sms_inbound_1.form": ["complaint"],
}


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_a_real_payload_is_understood(name: str) -> None:
    adapter = name.partition("/")[0]
    delivery = trying.delivery_of(adapter, (SAMPLES / name).read_bytes(), {}, {})
    assert [result["outcome"] for result in trying.judge(adapter, delivery)] == OUTCOMES[name]
