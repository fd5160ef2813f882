"""Memory that goes back to the system after much of it was needed for a while.

Python frees what a thousand connections held, but the C library keeps the pages: they lie between others that are still
in use, and a process that held 60 MB for a second has them for good. glibc's malloc_trim(3) gives back whole pages
within its heaps; other C libraries have none, or need none.
"""

from __future__ import annotations

import ctypes
from functools import cache

WORTH_IT = 16 << 20


class Tide:
    """Knows from the bytes that are held, told now and then, when it is worth to give memory back."""

    def __init__(self) -> None:
        self._highest = 0

    def has_ebbed(self, held: int) -> bool:
        """True once after much was held and little is."""
        self._highest = max(self._highest, held)
        if self._highest < WORTH_IT or held > self._highest // 4:
            return False
        self._highest = held
        return True


def give_back() -> None:
    """Have the C library return what it does not need. Takes milliseconds: called in a worker."""
    if (libc := _libc()) is not None:
        libc.malloc_trim(0)


@cache
def _libc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "malloc_trim") else None
