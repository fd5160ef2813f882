"""The wall clock jumps while the monotonic one goes on, as after a suspend, a wrong battery or a step of NTP.

libfaketime (Debian's package of that name) shows the real program another wall clock, which the test moves.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from netstat_cli.reader import store_reader
from netstat_cli.times import HOUR, MINUTE, now, parse_timestamp
from tests.cli.conftest import Run, env, run  # noqa: F401
from tests.namespaces import MUST_RUN
from tests.test_end_to_end import NETCLI

SECONDS, INTERVAL = 4, 0.1


def libfaketime() -> str:
    """Where the library is; a test that needs it is skipped without it."""
    found = next(Path("/usr/lib").rglob("libfaketime.so.1"), None)
    if found is None:
        reason = "libfaketime is not installed"
        if os.environ.get(MUST_RUN):
            pytest.fail(f"{reason}, and ${MUST_RUN} is set")
        pytest.skip(reason)
    return str(found)


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """Where the distance to the true time is written."""
    libfaketime()
    path = tmp_path / "clock"
    path.write_text("+0")
    return path


def sample_loopback(data: Path, clock: Path, steps: list[str]) -> list[dict[str, Any]]:
    """Samples real traffic on loopback while the clock is set, step by step; the stored lines as they were taken."""
    shown = {
        "LD_PRELOAD": libfaketime(),
        "FAKETIME_TIMESTAMP_FILE": str(clock),
        "FAKETIME_NO_CACHE": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }
    count = str(round(SECONDS / INTERVAL))
    command = [*NETCLI, "collect", "--iface", "lo", "--store", "--data", str(data)]
    command += ["--interval", f"{INTERVAL}s", "--count", count]
    sender = socket.socket(type=socket.SOCK_DGRAM)
    with subprocess.Popen(command, env={**os.environ, **shown}) as process, sender:
        begun = time.monotonic()
        while process.poll() is None:
            passed = time.monotonic() - begun
            sender.sendto(bytes(10_000), ("127.0.0.1", 9))
            clock.write_text(["+0", *steps][min(len(steps), int(passed * (len(steps) + 1) / SECONDS))])
            time.sleep(0.01)  # the traffic is spread over the time
        assert 0 == process.returncode
    lines = [json.loads(line) for path in data.glob("*/*.jsonl") for line in path.read_text().splitlines()]
    return sorted(lines, key=lambda line: line["seq"])


@pytest.mark.slow
@pytest.mark.parametrize("steps", [["+8h"], ["+3h", "+1h", "+2h"], ["+26h", "+1h"]], ids=" ".join)
def test_a_clock_that_jumps(tmp_path: Path, clock: Path, run: Run, steps: list[str]) -> None:  # noqa: F811
    """Every sample is stored, and what went through between the first and the last is told to the byte, wherever the
    clock put them; the hours that it left out, as a suspend does, are a gap. What it put in the wrong place is set
    aside by `store compact`."""
    data = tmp_path / "data"
    taken = sample_loopback(data, clock, steps)
    assert list(range(round(SECONDS / INTERVAL))) == [line["seq"] for line in taken]
    counters = [line["network_interfaces"][0]["rx_bytes"] for line in taken]
    assert all(earlier <= later for earlier, later in pairwise(counters))
    begin = parse_timestamp(taken[0]["timestamp"])
    edges = [begin, *range(begin + MINUTE, begin + 30 * HOUR, HOUR // 2)]
    found = store_reader(str(data), now() + 30 * HOUR).series(taken[0]["server_id"], "lo", edges).buckets
    assert counters[-1] - counters[0] == sum(bucket.traffic.rx_bytes for bucket in found)
    assert 0 <= min(bucket.traffic.rx_bytes for bucket in found)
    assert found[1].gap
    assert 0 == run("store", "compact", "--data", data).returncode
    verified = run("store", "verify", "--data", data)
    assert (0, True) == (verified.returncode, verified.stdout.endswith("the store is sound\n"))
