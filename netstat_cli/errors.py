"""The tree of errors. The library raises them; the cli turns them into exit codes, the collector into HTTP statuses."""

from __future__ import annotations

from typing import NamedTuple

EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_TEMPFAIL = 75  # EX_TEMPFAIL of sysexits.h: safe in the spool, not delivered
EXIT_INTERRUPTED = 130  # 128 + SIGINT

MOST_TOLD = 20
"""So many fields that are wrong are named: a small request must not have a large answer."""


class NetcliError(Exception):
    """Something failed that the user can act on: what failed, on what, and what to do about it."""

    exit_code = EXIT_FAILED

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageProblem(NetcliError):
    """A value given by the user cannot be understood."""

    exit_code = EXIT_USAGE


class Problem(NamedTuple):
    """One thing wrong with one field: the path to it, a sentence, and a machine-readable type."""

    loc: tuple[str | int, ...]
    msg: str
    type: str

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.loc))}: {self.msg}" if self.loc else self.msg


class InvalidSample(NetcliError):
    """A sample that does not follow format 1; `problems` names the fields that are wrong, or the first of very many."""

    def __init__(self, problems: list[Problem]) -> None:
        told = problems[:MOST_TOLD]
        if len(problems) > MOST_TOLD:
            told.append(Problem((), f"and {len(problems) - MOST_TOLD} fields more are wrong", "value_error.more"))
        super().__init__("; ".join(map(str, told)))
        self.problems = told


class SourceError(NetcliError):
    """The interface counters of this machine cannot be read at all."""


class StoreError(NetcliError):
    """The store cannot be opened, read or written."""


class StoreLocked(StoreError):
    """Another process is the writer of this store."""


class StoreFull(StoreError):
    """The disk under the store has no room left."""


class NothingStored(NetcliError):
    """The question is fine, but there is no data to answer it from."""


class DeliveryError(NetcliError):
    """The peer could not be reached or would not take the samples."""


class Undelivered(DeliveryError):
    """The samples are safe in the spool, but the peer does not have them yet."""

    exit_code = EXIT_TEMPFAIL
