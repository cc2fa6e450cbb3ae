"""Follow-up's decisions. Pure: state, input and policy in; state, events, timers and messages out."""

from services.followup.domain.schedule import CHECK_IN, UPDATE, FollowUpState, Planned, on_event, on_timer

__all__ = ["CHECK_IN", "UPDATE", "FollowUpState", "Planned", "on_event", "on_timer"]
