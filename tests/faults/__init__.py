"""Real processes on a real Kafka and PostgreSQL, killed, frozen and cut off, with a checker that trusts only the client.

`fleet` runs the services, `client` and `load` are the contact centre (what it was told goes into the `journal`), `poison`
and `chaos` do harm. `checker` reads the tables, the topics and the API afterwards (`reading`, `rules`, `stories`) and
shares no code with the services. By hand, longer or again with the seed of a failed run:

    python -m tests.faults.run --seed 7 --seconds 300
"""
