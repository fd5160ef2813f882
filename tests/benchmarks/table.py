"""What a benchmark found, as rows of one table: each figure beside another one taken in the same run."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from tabulate import tabulate


class Row(NamedTuple):
    """One comparison. `ratio` is the first figure by the second; `asked` the bar it is held to."""

    work: str
    figure: str
    against: str
    other: str
    ratio: str
    asked: str


def show(rows: Sequence[Row]) -> str:
    """The table, as Markdown."""
    return tabulate(
        rows, ["work", "netcli", "against", "figure", "ratio", "asked"], tablefmt="github", disable_numparse=True
    )


def milliseconds(seconds: float) -> str:
    """A duration as the table shows it."""
    return f"{seconds * 1000:.3g} ms" if seconds >= 1e-3 else f"{seconds * 1e6:.0f} µs"


def ratio(first: float, second: float) -> str:
    """One figure by another."""
    return f"{first / second:.2f}x"


def by_turns(first: Callable[[], object], second: Callable[[], object], times: int) -> tuple[float, float]:
    """The median seconds of two things done in turn, so that a slow moment of the machine meets both."""
    taken: tuple[list[float], list[float]] = ([], [])
    for _ in range(times):
        for one, seconds in zip((first, second), taken, strict=True):
            begun = time.perf_counter()
            one()
            seconds.append(time.perf_counter() - begun)
    return statistics.median(taken[0]), statistics.median(taken[1])


def process(*command: str) -> Callable[[], object]:
    """Runs a command, its output thrown away."""
    return lambda: subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
