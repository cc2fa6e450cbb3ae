"""Reading: what a contact's words say (language, heat, threats, needs, category, severity), beside the words themselves.

Runs after the adapter on every contact of the customer, wherever it came from.
"""

from __future__ import annotations

from shared.contracts.complaints import Contact


def read(contact: Contact) -> Contact:
    """The contact with what was read in it. The text is never changed."""
    return contact
