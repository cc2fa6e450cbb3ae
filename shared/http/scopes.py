"""What an API key may be allowed to do at each service."""

SCOPES: dict[str, tuple[str, ...]] = {
    "intake": ("intake:write", "cases:read", "cases:write", "ops", "policies:write"),
    "escalation": ("cases:read", "cases:write", "ops", "policies:write"),
    "followup": ("cases:read", "cases:write", "ops", "policies:write"),
    "records": ("cases:read", "cases:erase", "ops", "policies:read", "policies:write"),
}
SERVICES = tuple(SCOPES)
