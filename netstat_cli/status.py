"""Is a node alive: one rule, for the collector, the files and every screen.

A node is online while its last sample is less than three of its intervals old (at least 60 s), offline after six (at
least 120 s), and `warning` in between. What counts is when samples arrive, not what the sender's clock says.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from netstat_cli.times import MINUTE, SECOND

WARNING_INTERVALS, MIN_WARNING = 3, MINUTE
OFFLINE_INTERVALS, MIN_OFFLINE = 6, 2 * MINUTE
LEARNT_FROM = 5
"""So many pauses between samples tell the interval of a sender that does not state it."""
MAX_LEARNT = 60 * MINUTE
"""A longer pause is a silence and no interval."""


class Thresholds(NamedTuple):
    """Milliseconds of silence after which a node is no longer online, and after which it is offline; None: by its own
    interval."""

    warning: int | None = None
    offline: int | None = None

    def status(self, silence: int, interval_s: float | None) -> str:
        """Tell if a node is online, warning or offline."""
        interval = round(min(interval_s or 0.0, MAX_LEARNT / SECOND) * SECOND)
        warning = max(MIN_WARNING, WARNING_INTERVALS * interval) if self.warning is None else self.warning
        offline = max(MIN_OFFLINE, OFFLINE_INTERVALS * interval) if self.offline is None else self.offline
        if silence < min(warning, offline):
            return "online"
        return "warning" if silence < offline else "offline"


def learnt_interval(moments: Sequence[int]) -> float | None:
    """Tell the interval of a sender, in seconds, from when its last samples came; None where they are too few."""
    pauses = [later - earlier for earlier, later in pairwise(moments) if later > earlier]
    known = [pause for pause in pauses if pause <= MAX_LEARNT][-LEARNT_FROM:]
    return statistics.median(known) / SECOND if known else None


def ago(silence: int) -> str:
    """How long ago, in the largest whole unit: 3s ago, 5m ago, 2h ago, 4d ago."""
    seconds = max(0, silence) // SECOND
    for size, unit in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit} ago"
    return f"{seconds}s ago"
