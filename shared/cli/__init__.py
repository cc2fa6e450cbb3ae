"""What every part of the `amends` command line uses. Light to import: the libraries are loaded when a command runs."""

from __future__ import annotations


class Stop(Exception):
    """Ends a command with one sentence and its exit code."""

    code = 1


class Failed(Stop):
    """What was asked for did not work, or problems were found."""


class WrongUse(Stop):
    """The command was called wrongly: what is missing, and how to give it."""

    code = 2
