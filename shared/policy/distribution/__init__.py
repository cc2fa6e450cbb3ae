"""Which version of a policy is in force: published and activated through Kafka, the same on every replica.

`line.py` decides what is in force (pure), `topics.py` reads and writes the topics, `replica.py` is the service's side.
"""
