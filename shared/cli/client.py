"""The services' HTTP APIs as the commands call them: where, with which key, and each failure as one sentence."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import typer

from shared.cli import Failed, WrongUse, local

if TYPE_CHECKING:
    import httpx2

Url = Annotated[
    str | None,
    typer.Option("--url", help="Address of the service; else $AMENDS_<SERVICE>_URL, else the local stack's."),
]
Key = Annotated[str | None, typer.Option("--key", help="API key; else $AMENDS_API_KEY, else the local stack's.")]
Once = Annotated[
    str | None,
    typer.Option("--idempotency-key", metavar="TEXT", help="The same key again does nothing twice. Default: a new one."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]

TIMEOUT_S = 30.0


class Client:
    """Calls one service. Addresses and keys: the given ones, then the environment, then the local stack."""

    def __init__(self, service: str, url: str | None = None, key: str | None = None) -> None:
        """Raises WrongUse when an address or a key is missing."""
        self.service = service
        variable = f"AMENDS_{service.upper()}_URL"
        noted = local.read(local.data_dir())
        given = url or os.environ.get(variable)
        self.url = (given or (noted["urls"][service] if noted else "")).rstrip("/")
        # The local stack's key goes nowhere else.
        own = noted["api_key"] if noted and self.url == noted["urls"][service] else None
        self._key = key or os.environ.get("AMENDS_API_KEY") or own
        if not self.url:
            raise WrongUse(f"where is {service}? Give --url, set {variable}, or start the local stack with: make run")
        if not self.url.startswith(("http://", "https://")):
            raise WrongUse(f"the address of {service} must begin with http:// or https://, not '{self.url}'")
        try:
            host = urlsplit(self.url).hostname
        except ValueError:
            raise WrongUse(f"'{self.url}' is no address of {service}") from None
        self._http: httpx2.Client | None = None  # made when first used
        self._is_local = self.url.startswith("http://") and host in ("127.0.0.1", "localhost", "::1")
        if self._key is not None and not self._key.isascii():
            raise WrongUse("the API key holds characters that no key has: those look like amends_<id>_<secret>")
        if not self._key:
            raise WrongUse(f"an API key is needed for {self.url}: give --key or set AMENDS_API_KEY")

    def get(self, path: str) -> Any:
        """The JSON that GET `path` answers. Raises Failed with what the service says."""
        return self._call("GET", path)

    def post(self, path: str, body: bytes | None = None, **headers: str) -> Any:
        """The JSON that POST `path` answers; the body is JSON unless `content_type` says otherwise."""
        sent = {"content-type": "application/json"} if body is not None else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self._call("POST", path, body, sent)

    def command(self, complaint_id: UUID, name: str, body: dict[str, Any], once: str | None = None) -> Any:
        """Do a command about a complaint, once by `once` (a new key without it). What is None in `body` is not sent."""
        sent = json.dumps({field: value for field, value in body.items() if value is not None}).encode()
        return self.post(f"/v1/complaints/{complaint_id}/{name}", sent, idempotency_key=once or str(uuid4()))

    def put(self, path: str, body: bytes, *, content_type: str) -> Any:
        """The JSON that PUT `path` answers."""
        return self._call("PUT", path, body, {"content-type": content_type})

    def _call(self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
        import httpx2

        sent = {"authorization": f"Bearer {self._key}", **(headers or {})}
        if self._http is None:
            # A proxy cannot reach this machine's own address; and without TLS there is no need to read all certificates.
            self._http = httpx2.Client(timeout=TIMEOUT_S, trust_env=not self._is_local, verify=not self._is_local)
        try:
            answer = self._http.request(method, self.url + path, content=body, headers=sent)
        except (httpx2.InvalidURL, httpx2.UnsupportedProtocol, UnicodeError):
            raise WrongUse(f"'{self.url}' is no address of {self.service}") from None
        except httpx2.TransportError as error:
            reason = "not in time" if isinstance(error, httpx2.TimeoutException) else "no connection"
            raise Failed(
                f"{self.service} does not answer at {self.url} ({reason}). Is it running? The local stack: make run"
            ) from None
        try:
            content: Any = answer.json()
        except ValueError:
            content = None
        if answer.status_code >= 400:
            raise Failed(f"{self.service}: {_problem(content) or f'HTTP status {answer.status_code}'}")
        if content is None:
            raise Failed(
                f"{self.url}{path} answered with something that is not JSON: is this the address of {self.service}?"
            )
        return content


def print_json(value: Any) -> None:
    """One JSON value on stdout. What stdout cannot write is escaped, which is the same JSON."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(value, indent=2)
    typer.echo(text)


def _problem(content: Any) -> str:
    """A problem of RFC 9457 as a sentence, with the fields that are wrong."""
    if not isinstance(content, dict) or "title" not in content:
        return ""
    detail = content.get("detail", "")
    told = [f"{each['field']}: {each['reason']}" for each in content.get("errors", ())]
    detail = " ".join(part for part in (detail, "; ".join(each for each in told if each not in detail)) if part)
    return f"{content['title']}. {detail[:1].upper()}{detail[1:]}".strip()
