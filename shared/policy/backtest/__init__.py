"""What a policy would have done: recorded decisions made again by a candidate, and what that means for people.

`recorded.py` is the form of a recorded decision, `tally.py` counts (pure), `report.py` says what the counts mean and holds
the guardrails against them (pure), `run.py` does it for a million of them.
"""
