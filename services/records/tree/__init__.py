"""The ledger as a transparency log: an RFC 6962 tree in the C2SP formats (https://c2sp.org). Pure; keys are given.

merkle      hashes, roots, inclusion and consistency proofs
tiles       where the hashes stand: tiles of 256, as files or rows
note        signed notes: keys, signatures, cosignatures
checkpoint  the signed head of the tree
proof       the offline proof of one record
audit       compares records, stored hashes and signed heads, and names the first that is wrong
"""
