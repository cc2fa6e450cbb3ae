"""What holds for every possible complaint, by z3. Imported only by commands that were asked for a proof: no service loads it.

What is said here is sound one way: "proved" and "unreachable" hold, within ASSUMPTIONS, for all complaints, because what
cannot be translated is left open (any value). A counterexample counts only after the evaluator itself has confirmed it;
where neither succeeds the answer is "not proved".
"""

ASSUMPTIONS = (
    "every required fact is there and holds a value of the schema",
    "times lie within 100 years of the decision",
    "whole numbers lie within 0 and 1,000,000,000 where the schema gives no bounds",
)
