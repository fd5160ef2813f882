"""Makes every Python under libfaketime sleep by select.

`time.sleep` asks for clock_nanosleep until a moment of the monotonic clock; libfaketime (0.9.10) reckons that moment by
the wall clock that it shows, so that the sleep fails with EINVAL or ends at once.
"""

import select
import time


def sleep(seconds: float) -> None:
    """Waits so long."""
    if seconds < 0:
        raise ValueError("sleep length must be non-negative")
    select.select([], [], [], seconds)


time.sleep = sleep
