"""Search: one row a complaint, folded from the ledger behind it, found by words and by what is known about it."""
