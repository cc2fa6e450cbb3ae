"""Every refusal and failure as application/problem+json (RFC 9457): one clear sentence, nothing of what was sent."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"


class Problem(HTTPException):
    """A refusal, to be raised anywhere below a request.

    `title` names the kind of problem, `detail` says what is wrong here and what to do. Neither may quote what was sent.
    `extensions` become further members of the document, `headers` headers of the answer.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        type: str = "about:blank",
        *,
        headers: Mapping[str, str] | None = None,
        **extensions: Any,
    ) -> None:
        super().__init__(status, detail, headers)
        self.title = title
        self.type = type
        self.extensions = extensions

    def body(self) -> bytes:
        """The document as JSON."""
        return orjson.dumps(
            {
                **self.extensions,
                "type": self.type,
                "title": self.title,
                "status": self.status_code,
                "detail": self.detail,
            },
            default=str,
        )

    def response(self) -> Response:
        """The answer that tells it."""
        return Response(self.body(), self.status_code, self.headers, CONTENT_TYPE)


def too_large(limit: int) -> Problem:
    """413: the body has more than `limit` bytes."""
    detail = f"The request body is larger than the {limit:,} bytes allowed here. Send it in smaller parts."
    return Problem(413, "Body too large", detail, limit_bytes=limit)


def unsupported_media_type(accepted: Sequence[str]) -> Problem:
    """415: the body is none of the media types `accepted`."""
    names = " or ".join(accepted)
    return Problem(415, "Unsupported media type", f"Send the body with Content-Type: {names}.", accepted=list(accepted))


def encoded(encoding: str) -> Problem:
    """415: the body is compressed."""
    detail = f"The body is sent with Content-Encoding: {encoding}. Send it as it is, without an encoding."
    return Problem(415, "Unsupported content encoding", detail, headers={"Accept-Encoding": "identity"})


def unavailable(detail: str, retry_after_s: int = 1) -> Problem:
    """503: try the same request again after `retry_after_s` seconds."""
    return Problem(503, "Unavailable", detail, headers={"Retry-After": str(retry_after_s)})


def unexpected(error: BaseException) -> Problem:
    """500 for a defect of ours. The client gets an incident id, the log the rest."""
    incident = secrets.token_hex(8)
    log.error("request failed, incident %s", incident, exc_info=error)
    detail = f"The request could not be handled because of an error on our side. Incident {incident}."
    return Problem(500, "Internal error", detail, incident=incident)


def add_handlers(app: FastAPI) -> None:
    """Make every HTTP error of `app` a problem document. (Unexpected ones are caught further out, in app.py.)"""
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(RequestValidationError, _invalid)


async def _http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return as_problem(error).response()


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    return invalid(error.errors()).response()


def as_problem(error: HTTPException) -> Problem:
    """Starlette's and FastAPI's own errors (404, 405, ...) as problems."""
    if isinstance(error, Problem):
        return error
    status = error.status_code
    title = _PHRASES.get(status, "Error")
    headers = dict(error.headers or {})
    detail = _DETAILS.get(status) or f"{error.detail}".rstrip(".") + "."
    if status == 405 and (allowed := headers.get("Allow") or headers.get("allow")):
        allowed = ", ".join(sorted(allowed.split(", ")))
        detail = f"This address answers {allowed} only."
    return Problem(status, title, detail, headers=headers)


_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_DETAILS = {
    404: "There is nothing at this address. The addresses that exist are listed in /openapi.json.",
    405: "This address does not answer this method.",
    413: "The request body is larger than allowed here.",
}


def invalid(errors: Sequence[Mapping[str, Any]], status: int = 422) -> Problem:
    """`errors` in pydantic's form as one problem: its sentence names the first field, `errors` has them all."""
    if any(error["type"] == "json_invalid" for error in errors):
        return Problem(400, "Invalid JSON", "The body is not valid JSON.")
    fields = [{"field": field_name(error["loc"]), "reason": _reason(error)} for error in errors] or [
        {"field": "body", "reason": "is not valid"}
    ]
    more = "" if len(fields) == 1 else f" ({len(fields) - 1} more in errors)"
    detail = f"{fields[0]['field']}: {fields[0]['reason']}{more}."
    return Problem(status, "Invalid request", detail, errors=fields[:MAX_FIELDS])


MAX_FIELDS = 50
MAX_NAME = 64
_PLACES = {"body", "query", "path", "header", "cookie"}


def field_name(location: Sequence[str | int]) -> str:
    """`("body", "customer", "email", 0)` as `customer.email[0]`: a place in what was sent, never its content."""
    parts = list(location)
    place = parts.pop(0) if len(parts) > 1 and parts[0] in _PLACES else ""
    name = ""
    for part in parts:
        # A key that the sender chose may be anything: only plain names are repeated.
        text = str(part) if str(part).isidentifier() and len(str(part)) <= MAX_NAME else "(key)"
        name += f"[{part}]" if isinstance(part, int) else f".{text}" if name else text
    return f"{place} {name}" if place in ("query", "path", "header", "cookie") else name or "body"


def _reason(error: Mapping[str, Any]) -> str:
    kind, context = str(error["type"]), error.get("ctx", {})
    if kind == "missing":
        return "is missing"
    if kind == "extra_forbidden":
        return "is not known here"
    if kind in ("value_error", "assertion_error") and not isinstance(context.get("error"), PublicValueError):
        return "is not valid"  # the validator's own text may quote the value
    if kind in _WORDS:
        return _WORDS[kind]
    said = str(error["msg"]).removeprefix("Value error, ").rstrip(".")
    return said.removeprefix("Input ").removeprefix("String ")


class PublicValueError(ValueError):
    """For a pydantic validator: a reason that may be told to the sender, since it does not quote the value."""


# Kinds of pydantic whose messages repeat part of what was sent, or speak of Python.
_WORDS = {
    "uuid_parsing": "should be a UUID",
    "url_parsing": "should be a URL",
    "datetime_parsing": "should be a date and time in ISO 8601, with time zone",
    "datetime_from_date_parsing": "should be a date and time in ISO 8601, with time zone",
    "date_from_datetime_parsing": "should be a date in ISO 8601",
    "union_tag_invalid": "has a kind that is not known here",
    "tuple_type": "should be a list",
    "list_type": "should be a list",
    "dict_type": "should be an object",
    "model_type": "should be an object",
    "model_attributes_type": "should be an object",
}
