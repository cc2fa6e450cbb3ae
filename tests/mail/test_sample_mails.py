"""Mails that were really sent, where they are at hand (they are not part of the project)."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.intake.submissions import ContactSubmission, SetAside
from tests import samples
from tests.mail.mails import contact, read

MAILS = samples.SAMPLES / "email"
pytestmark = pytest.mark.skipif(not MAILS.is_dir(), reason="no sample mails here")


def mails(folder: str) -> list[Path]:
    return [path for path in sorted((MAILS / folder).rglob("*.eml")) if path.stat().st_size]


def test_all_can_be_read() -> None:
    for path in mails("."):
        assert isinstance(read(path.read_bytes()), ContactSubmission | SetAside) or "plain_emails" in str(path), path.name


def test_bounces_automatic_replies_and_feedback_reports_are_set_aside() -> None:
    machines = [path for folder in ("bsd", "mac", "dos") for path in mails(f"sisimai/{folder}")]
    heard = [path.name for path in machines if not isinstance(read(path.read_bytes()), SetAside)]
    assert len(heard) <= len(machines) // 50, heard


def test_what_is_no_bounce_is_heard() -> None:
    for path in mails("sisimai/not"):
        assert isinstance(read(path.read_bytes()), ContactSubmission), path.name


def test_replies_are_stripped_to_what_is_new() -> None:
    for path in mails("talon/standard_replies"):
        assert contact(path.read_bytes()).text == "Hello", path.name
