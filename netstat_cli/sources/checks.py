"""Check what a source read before it becomes an Interface: one bad row is left out, and told, and the rest is kept.

A row with a number that no counter can have would make the whole sample's line invalid for whoever receives it. And a
source is read every few seconds, so each trouble is told once; no trouble's text holds a number that changes.
"""

from __future__ import annotations

from collections.abc import Mapping

from netstat_cli.sources import Warn

MAX_NAME_LENGTH = 64
"""The longest name that a sample line takes. Linux has 15 bytes, which are at most 60 characters spelled as \\xNN."""

MAX_COUNTER = (1 << 64) - 1
"""The largest counter that a sample line takes; the kernel's are __u64 (include/uapi/linux/if_link.h)."""

MAX_WARNINGS = 100
"""Distinct troubles that are told: a file that is other nonsense at each reading is not told for ever."""


def find_trouble(name: str, counters: Mapping[str, int]) -> str | None:
    """Say in a sentence why a row cannot be an interface; None if it can."""
    if not name:
        return "skipped an interface without a name"
    if len(name) > MAX_NAME_LENGTH:
        return (
            f"skipped an interface whose name is longer than {MAX_NAME_LENGTH} characters: {name[:MAX_NAME_LENGTH]!r}"
        )
    if min(counters.values()) >= 0 and max(counters.values()) <= MAX_COUNTER:
        return None
    wrong = next(column for column, value in counters.items() if not 0 <= value <= MAX_COUNTER)
    return f"skipped {name!r}: {wrong} is {'negative' if counters[wrong] < 0 else 'larger than 64 bits'}"


class WarnOnce:
    """Passes on each distinct message once."""

    def __init__(self, warn: Warn) -> None:
        self._warn = warn
        self._told: set[str] = set()

    def __call__(self, message: str) -> None:
        """Pass the message on, if it is new."""
        if message not in self._told and len(self._told) < MAX_WARNINGS:
            self._told.add(message)
            self._warn(message)
