"""The AsyncAPI 3.0 document of the topics, from FLOWS: for code generators and catalogues of those who read along."""

from __future__ import annotations

import io
import json
from typing import Any

from ruamel.yaml import YAML

from shared.contracts.envelope import SERVICES, SOURCE_PREFIX, EventData
from shared.contracts.json_schema import meaning, shared_definitions
from shared.contracts.topics import EVENTS, FLOWS, PARTITIONS, RETENTION_MS, SEGMENT_MS, TABLES, Flow, Table

_BINDING = "0.5.0"
_UUID = {"type": "string", "format": "uuid"}
# What codec.encode_headers writes. Kafka headers are bytes: all of these are UTF-8 text.
HEADERS: dict[str, Any] = {
    "type": "object",
    "description": "CloudEvents 1.0 in Kafka's binary mode, and the W3C trace context of the event's creation.",
    "properties": {
        "ce_specversion": {"type": "string", "const": "1.0"},
        "ce_id": {**_UUID, "description": "The same in every retry: an event that comes twice has one id."},
        "ce_type": {"type": "string"},
        "ce_source": {"type": "string", "enum": [f"{SOURCE_PREFIX}{service}" for service in SERVICES]},
        "ce_time": {"type": "string", "format": "date-time", "description": "When it was accepted or decided, UTC."},
        "ce_subject": {**_UUID, "description": "The complaint (set aside, rejected: the submission)."},
        "ce_sequence": {
            "type": "string",
            "pattern": "^[1-9][0-9]{0,18}$",
            "description": "1, 2, 3... without gaps for each pair of ce_source and ce_subject: drop what is not "
            "above the last one handled, wait when one is missing.",
        },
        "ce_causationid": {"type": "string", "description": "What led to it: an event's id, or a reference."},
        "ce_correlationid": {"type": "string", "description": "Shared by all that follows from one input."},
        "content-type": {"type": "string", "const": "application/json"},
        "traceparent": {"type": "string", "description": "W3C trace context; empty when it was not traced."},
        "tracestate": {"type": "string"},
    },
    "required": [
        "ce_specversion", "ce_id", "ce_type", "ce_source", "ce_time", "ce_subject", "ce_sequence", "ce_causationid",
        "ce_correlationid", "content-type", "traceparent",
    ],
}  # fmt: skip
_ABOUT = (
    "The events of Amends. Every topic is keyed, so the events of one complaint stay in order; delivery is at least "
    "once, and `ce_sequence` tells what is new. Inside a version (`.v1`) changes are additive only: ignore fields that "
    "you do not know, and read an unknown value of an enumeration marked `x-unknown-reads-as` as the value named there. "
    "The topics of policies hold no events but tables: compacted, one partition, the newest record of a key is its value."
)


def asyncapi() -> str:
    """The document as YAML."""
    document = {
        "asyncapi": "3.0.0",
        "id": "urn:amends:events",
        "info": {"title": "Amends", "version": "1.0.0", "description": _ABOUT, "license": {"name": "Apache-2.0"}},
        "defaultContentType": "application/json",
        "channels": {flow.topic: _channel(flow) for flow in FLOWS} | {table.topic: _table(table) for table in TABLES},
        "operations": {name: operation for flow in FLOWS for name, operation in _operations(flow).items()}
        | {name: operation for table in TABLES for name, operation in _table_operations(table).items()},
        "components": {
            "parameters": {
                "prefix": {
                    "description": "What the deployment puts before its topics: AMENDS_KAFKA_TOPIC_PREFIX.",
                    "default": "",
                    "examples": ["", "prod."],
                }
            },
            "messages": {event.TYPE: _message(flow, event) for flow in FLOWS for event in flow.events}
            | {table.topic: _record(table) for table in TABLES},
            "schemas": {
                "Headers": HEADERS,
                **shared_definitions(
                    [*EVENTS.values(), *(table.record for table in TABLES)], "#/components/schemas/{model}"
                ),
            },
        },
    }
    yaml = YAML()
    yaml.width = 120
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.representer.ignore_aliases = lambda _: True
    text = io.StringIO()
    text.write("# Generated from shared/contracts by `python -m shared.contracts.generate`. Do not edit.\n")
    yaml.dump(json.loads(json.dumps(document)), text)
    return text.getvalue()


def _channel(flow: Flow) -> dict[str, Any]:
    return {
        "address": f"{{prefix}}{flow.topic}",
        "title": flow.topic,
        "description": f"Written by {flow.producer}. Key: {flow.key}.",
        "parameters": {"prefix": _ref("components", "parameters", "prefix")},
        "messages": {event.TYPE: _ref("components", "messages", event.TYPE) for event in flow.events},
        "bindings": {
            "kafka": {
                "partitions": PARTITIONS,
                "topicConfiguration": {
                    "cleanup.policy": ["delete"],
                    "retention.ms": RETENTION_MS,
                    "segment.ms": SEGMENT_MS,
                    "message.timestamp.type": "LogAppendTime",
                },
                "bindingVersion": _BINDING,
            }
        },
    }


def _operations(flow: Flow) -> dict[str, Any]:
    messages = [_ref("channels", flow.topic, "messages", event.TYPE) for event in flow.events]
    sends = {
        f"{service}-sends-{flow.topic}": {
            "action": "send",
            "channel": _ref("channels", flow.topic),
            "title": f"{service} writes {flow.topic}",
            "messages": messages,
        }
        for service in flow.writers
    }
    receives = {
        f"{service}-reads-{flow.topic}": {
            "action": "receive",
            "channel": _ref("channels", flow.topic),
            "title": f"{service} reads {flow.topic}",
            "messages": [_ref("channels", flow.topic, "messages", e.TYPE) for e in flow.selects.get(service, flow.events)],
            "bindings": {
                "kafka": {
                    "groupId": {
                        "type": "string",
                        "pattern": f"amends-{service}$",
                        "description": f"`amends-{service}` after the deployment's prefix.",
                    },
                    "bindingVersion": _BINDING,
                }
            },
        }
        for service in flow.readers
    }
    return sends | receives


def _table(table: Table) -> dict[str, Any]:
    return {
        "address": f"{{prefix}}{table.topic}",
        "title": table.topic,
        "description": f"A table. Written by {table.writers}. Read by {table.readers}. Key: {table.key}.",
        "parameters": {"prefix": _ref("components", "parameters", "prefix")},
        "messages": {table.topic: _ref("components", "messages", table.topic)},
        "bindings": {"kafka": {"partitions": 1, "topicConfiguration": table.settings, "bindingVersion": _BINDING}},
    }


def _table_operations(table: Table) -> dict[str, Any]:
    ways = [("sends", "send", "writes", service) for service in SERVICES]
    ways += [("reads", "receive", "reads", service) for service in table.services_that_read]
    return {
        f"{service}-{name}-{table.topic}": {
            "action": action,
            "channel": _ref("channels", table.topic),
            "title": f"{service} {verb} {table.topic}",
            "messages": [_ref("channels", table.topic, "messages", table.topic)],
        }
        for name, action, verb, service in ways
    }


def _record(table: Table) -> dict[str, Any]:
    return {
        "name": table.topic,
        "title": table.record.__name__,
        "description": meaning(table.record),
        "contentType": "application/json",
        "payload": _ref("components", "schemas", table.record.__name__),
        "bindings": {
            "kafka": {"key": {"type": "string", "description": f"{table.key}, as text."}, "bindingVersion": _BINDING}
        },
    }


def _message(flow: Flow, event: type[EventData]) -> dict[str, Any]:
    sources = [f"{SOURCE_PREFIX}{service}" for service in flow.writers]
    return {
        "name": event.TYPE,
        "title": event.__name__,
        "description": meaning(event),
        "contentType": "application/json",
        "headers": {
            "type": "object",
            "allOf": [
                _ref("components", "schemas", "Headers"),
                {"properties": {"ce_type": {"const": event.TYPE}, "ce_source": {"enum": sources}}},
            ],
        },
        "payload": _ref("components", "schemas", event.__name__),
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {
            "kafka": {
                "key": {"type": "string", "description": f"{flow.key}; an id is its 16 bytes, not its text."},
                "bindingVersion": _BINDING,
            }
        },
    }


def _ref(*steps: str) -> dict[str, str]:
    return {"$ref": "#/" + "/".join(steps)}
