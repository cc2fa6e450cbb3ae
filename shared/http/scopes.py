"""What an API key may be allowed to do at each service."""

SCOPES: dict[str, tuple[str, ...]] = {
    "intake": ("intake:write", "ops"),
    "escalation": ("cases:read", "cases:write", "ops"),
    "followup": ("cases:read", "cases:write", "ops"),
    "records": ("cases:read", "ops"),
}
SERVICES = tuple(SCOPES)
