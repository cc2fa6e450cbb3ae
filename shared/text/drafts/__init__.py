"""The draft check: faults in an agent's draft, each with a calmer wording, and what the complaint still lacks."""
