"""The kinds of documents, and what each can decide. The names are a contract: add to them, never rename."""

from __future__ import annotations

from typing import get_args

from shared.contracts.complaints import Category
from shared.policy.outcomes import Kind, Outcome

_CLOCKS = Outcome("clocks", "Further clocks by name (spec.clocks says what each is): the soonest of each wins.")
# Facts about a remedy that can be proved by a system of the company, a carrier or a person.
VERIFIABLE = (
    "refund_booked", "credit_booked", "payment_sent", "parcel_delivered", "repair_done", "callback_made",
    "account_corrected",
)  # fmt: skip
_CHANNELS = ("preferred", "email", "phone", "sms", "post")

KINDS: dict[str, Kind] = {
    "IntakePolicy": Kind(
        "intake",
        {
            "severity": Outcome("int", "How bad it is, 1 to 5.", minimum=1, maximum=5, required=True),
            "category": Outcome("word", "What it is about, if that is to be changed.", values=get_args(Category)),
            "tags": Outcome("words", "Tags to add."),
            "acknowledge": Outcome("word", "Whether an acknowledgement is offered.", values=("offer", "none")),
        },
        "How a contact that was read becomes a complaint: its severity first of all.",
    ),
    "EscalationPolicy": Kind(
        "escalation",
        {
            "tier": Outcome("int", "Who deals with it: 1 is the front line.", minimum=1, maximum=9, required=True),
            "desks": Outcome("words", "Specialist desks that must deal with it, such as legal or safety."),
            "acknowledge_within": Outcome("duration", "The complaint is acknowledged by then."),
            "next_update_within": Outcome("duration", "The customer hears from us at least so often."),
            "final_response_within": Outcome("duration", "The final response is sent by then."),
            "accept_within": Outcome("duration", "Who receives the hand-off accepts it by then, or it moves on."),
            "raise_on": Outcome(
                "words",
                "What lifts it by a tier (default: all).",
                values=("missed_clock", "broken_promise", "lapsed_hand_off", "failed_remedy"),
            ),
            "raise_every": Outcome("duration", "While a missed clock is not met, it rises again so often."),
            "clocks": _CLOCKS,
            "remedy_authority": Outcome("money", "What a handler may offer without asking, per remedy."),
        },
        "Who deals with a complaint, by when, and what they may offer.",
    ),
    "RegimePolicy": Kind(
        "escalation",
        {
            "clocks": Outcome("clocks", "The legal clocks that run: the soonest of each wins."),
            "enclose": Outcome("words", "What the final response must enclose."),
        },
        "The clocks of a legal regime. They run beside those of the escalation policy, and several regimes at once.",
    ),
    "FollowUpPolicy": Kind(
        "followup",
        {
            "action": Outcome(
                "word",
                "What to plan.",
                values=("none", "progress_update", "holding_response", "satisfaction_survey"),
                required=True,
            ),
            "after": Outcome("duration", "How long from now, once."),
            "every": Outcome("duration", "How often, counted from the last contact."),
            "max_contacts": Outcome("int", "At most so many of these contacts.", minimum=1, maximum=100),
            "channel": Outcome("word", "How to reach the customer.", values=_CHANNELS),
            "enclose": Outcome("words", "What to send along."),
            "verify": Outcome("word", "The fact to verify before the customer is asked.", values=("none", *VERIFIABLE)),
            "verify_after": Outcome("duration", "How long after the resolution the fact is looked for."),
            "again_after": Outcome("duration", "Without an answer: ask again, and then give up, after this long each."),
            "per_week": Outcome("int", "At most so many messages of any kind in seven days.", minimum=1, maximum=100),
            "from_hour": Outcome("int", "Messages come from this hour on, where the customer is.", maximum=23),
            "until_hour": Outcome("int", "... and before this hour.", minimum=1, maximum=24),
            "on_hand_off": Outcome(
                "word", "What to say when a team has accepted the complaint.", values=("nothing", "tell")
            ),
            "on_yes": Outcome("word", "What to say when it is solved.", values=("nothing", "thank", "ask_for_review")),
        },
        "When the customer hears from us, and what is asked after the resolution.",
    ),
    "RecordsPolicy": Kind(
        "records",
        {
            "retain_for": Outcome("duration", "How long it is kept after it was closed.", required=True),
            "afterwards": Outcome("word", "What happens then.", values=("erase", "review")),
            "hold": Outcome("word", "While a hold stands nothing is erased.", values=("none", "legal")),
            "answer_access_within": Outcome("duration", "A request for the customer's data is answered by then."),
        },
        "How long records are kept, and what stops their erasure.",
    ),
}
