"""Where counters are read: one module per source, each with the same two things to give (see `Source`)."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Protocol

from netstat_cli.line.model import Interface

Warn = Callable[[str], None]
"""Told of what is odd but does not stop the reading, in one sentence."""

SOURCES = {"procfs": "netstat_cli.sources.procfs", "psutil": "netstat_cli.sources.psutil_source"}


class Source(Protocol):
    """A place to read this machine's interface counters from."""

    boot_id: str | None
    """What changes with every boot of the machine; None where it cannot be known."""

    def read(self) -> list[Interface]:
        """Read every interface as it stands now, loopback included, `start` left open. Raises SourceError."""


def open_source(name: str, procfs: str, sysfs: str, warn: Warn) -> Source:
    """Open the source of that name; `auto` is procfs on Linux and psutil elsewhere."""
    if name == "auto":
        name = "procfs" if sys.platform == "linux" else "psutil"
    opener: Callable[[str, str, Warn], Source] = importlib.import_module(SOURCES[name]).open_source
    return opener(procfs, sysfs, warn)
