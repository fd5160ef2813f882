"""A year of samples of one server: one per 10 s, 5 interfaces, with reboots, gaps and a 32-bit wrap in it.

python -m tests.benchmarks.year DIR      makes DIR/plain and DIR/closed, unless they are there
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from netstat_cli.line.model import Interface, Moment, Sample
from netstat_cli.line.wire import encode
from netstat_cli.store.blockgzip import compress
from netstat_cli.store.layout import create
from netstat_cli.store.segment import PlainSegment
from netstat_cli.times import DAY, HOUR, MINUTE, SECOND, day_of, day_start
from netstat_cli.traffic.tracker import RunTracker

SERVER = "year"
DAYS = 365
INTERVAL = 10
_INTERFACES = (
    ("eth0", "physical", 400_000, 1000),
    ("eth1", "physical", 30_000, 1000),
    ("wlan0", "wireless", 2_000, None),
    ("br0", "bridge", 150_000, None),
    ("tun0", "tun", 9_000, None),
)


def samples(end: int, days: int = DAYS) -> Iterator[Sample]:
    """The samples of so many days up to `end`: every 30 days a reboot, every 20 a gap; eth1 is 32 bits wide."""
    rng = random.Random(20261121)
    moment = day_start(day_of(end)) - (days - 1) * DAY + rng.randrange(10 * SECOND)
    tracker = RunTracker()
    seq = boot = 0
    counters = {name: [rng.randrange(1 << 31), 0, 0, 0] for name, *_ in _INTERFACES}
    next_reboot, next_gap = moment + 30 * DAY, moment + 17 * DAY
    while moment < end:
        if moment >= next_reboot:
            boot, next_reboot, moment = boot + 1, next_reboot + 30 * DAY, moment + 3 * MINUTE
            counters = {name: [0, 0, 0, 0] for name, *_ in _INTERFACES}
        if moment >= next_gap:
            next_gap, moment = next_gap + 20 * DAY, moment + 2 * HOUR
        interfaces = []
        for number, (name, kind, mean, speed) in enumerate(_INTERFACES):
            four = counters[name]
            received, sent = int(rng.expovariate(1) * mean * INTERVAL), int(rng.expovariate(3) * mean * INTERVAL)
            four[0] += received
            four[1] += sent
            four[2] += received // 700 + 1
            four[3] += sent // 300 + 1
            if name == "eth1":
                four[0] %= 1 << 32
                four[1] %= 1 << 32
            interfaces.append(
                Interface(
                    name=name,
                    ifindex=number + 2,
                    kind=kind,
                    is_up=True,
                    speed_mbps=speed,
                    rx_bytes=four[0],
                    tx_bytes=four[1],
                    rx_packets=four[2],
                    tx_packets=four[3],
                    **dict.fromkeys(("rx_errors", "tx_errors", "rx_dropped", "tx_dropped"), 0),
                )
            )
        yield tracker.complete(
            Sample(
                timestamp=Moment(moment),
                server_id=SERVER,
                hostname="year.lan",
                boot_id=f"boot-{boot}",
                seq=seq,
                interval=float(INTERVAL),
                network_interfaces=tuple(interfaces),
            )
        )
        seq += 1
        moment += INTERVAL * SECOND + rng.randrange(3)


def make(folder: Path, end: int) -> None:
    """Writes the year as plain day files and as closed days."""
    plain, closed = folder / "plain", folder / "closed"
    for data in (plain, closed):
        create(str(data))
        (data / SERVER).mkdir(exist_ok=True)
    file, current = None, ""
    for sample in samples(end):
        if (day := day_of(sample.timestamp)) != current:
            if file is not None:
                file.close()
            file, current = (plain / SERVER / f"{day}.jsonl").open("wb", buffering=1 << 20), day
        assert file is not None
        file.write(encode(sample) + b"\n")
    assert file is not None
    file.close()
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(_close, sorted((plain / SERVER).glob("*.jsonl")), [closed / SERVER] * DAYS))


def _close(day: Path, target: Path) -> None:
    segment = PlainSegment(str(day))
    (target / f"{day.name}.gz").write_bytes(b"".join(compress(segment.lines())))
    segment.close()


if __name__ == "__main__":
    from netstat_cli.times import now

    if not Path(sys.argv[1], "closed", SERVER).is_dir():
        make(Path(sys.argv[1]), now())
