"""Histories as servers make them: reboots, renames, absences, resets, wraps, gaps, restarted samplers."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from netstat_cli.counters import WRAP
from netstat_cli.model import Interface, Sample
from tests.given import completed, interface, sample

NAMES = ("eth0", "wlan0", "lan", "tun0")
STEPS = (0.5, 1, 5, 10, 10, 10, 10, 30, 100, 700)


class Device(NamedTuple):
    """A device of the made-up machine, under the name that it has now."""

    name: str
    bytes: int
    packets: int
    speed_mbps: int | None

    def carry(self, amount: int, wraps: bool) -> Device:
        """The device after some traffic, its byte counter perhaps of 32 bits."""
        grown = self.bytes + amount
        return self._replace(bytes=grown % WRAP if wraps else grown, packets=self.packets + -(-amount // 1000))


class Machine:
    """A machine to which things happen by chance."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._boots = 1
        self._numbers = 1
        self._here: dict[int, Device] = {}
        self._away: dict[int, Device] = {}
        for name in NAMES[: rng.randrange(1, 3)]:
            self._create(name)

    def happen(self) -> None:
        """One thing that breaks or bends the counting; mostly nothing."""
        events = (self._reboot, self._remove, self._add, self._rename, self._hide, self._return, self._reset)
        if (chance := self._rng.randrange(3 * len(events))) < len(events):
            events[chance]()

    def work(self) -> None:
        """Traffic over every device."""
        for number, device in self._here.items():
            amount = self._rng.choice((0, 1, 1000, self._rng.randrange(10**7)))
            self._here[number] = device.carry(amount, self._rng.random() < 0.03)

    def look(self) -> tuple[str, list[Interface]]:
        """The boot, and the interfaces as a source shows them."""
        return f"boot-{self._boots}", [
            interface(
                device.name,
                device.bytes,
                device.bytes // 2,
                rx_packets=device.packets,
                tx_packets=device.packets,
                ifindex=number,
                speed_mbps=device.speed_mbps,
            )
            for number, device in self._here.items()
        ]

    def _create(self, name: str) -> None:
        self._numbers += 1
        counted = self._rng.choice((0, self._rng.randrange(10**6), self._rng.randrange(WRAP)))
        speed = self._rng.choice((None, 100, 10_000))
        self._here[self._numbers] = Device(name, counted, self._rng.randrange(10**5), speed)

    def _free_name(self) -> str | None:
        taken = {device.name for device in self._here.values()}
        free = [name for name in NAMES if name not in taken]
        return self._rng.choice(free) if free else None

    def _any(self, devices: dict[int, Device]) -> int | None:
        return self._rng.choice(list(devices)) if devices else None

    def _reboot(self) -> None:
        names = [device.name for device in self._here.values()]
        self._boots, self._numbers = self._boots + 1, 1
        self._here, self._away = {}, {}
        for name in names:
            self._create(name)

    def _remove(self) -> None:
        self._here.pop(self._any(self._here) or 0, None)

    def _add(self) -> None:
        if (name := self._free_name()) is not None:
            self._create(name)

    def _rename(self) -> None:
        number, name = self._any(self._here), self._free_name()
        if number is not None and name is not None:
            self._here[number] = self._here[number]._replace(name=name)

    def _hide(self) -> None:
        if (number := self._any(self._here)) is not None:
            self._away[number] = self._here.pop(number)

    def _return(self) -> None:
        number = self._any(self._away)
        if number is not None and self._away[number].name not in {device.name for device in self._here.values()}:
            self._here[number] = self._away.pop(number)

    def _reset(self) -> None:
        if (number := self._any(self._here)) is not None:
            self._here[number] = self._here[number]._replace(bytes=self._rng.randrange(1000), packets=0)


@st.composite
def histories(draw: Any, days: bool = False) -> list[Sample]:
    """The completed samples of one server, at least two; with `days` over the borders of days. Now and then the
    sampler is restarted and begins all runs anew, or tells no boot id, so that only names are known."""
    rng = draw(st.randoms(use_true_random=False))
    machine = Machine(rng)
    steps = (*STEPS, 43_000, 86_400) if days else (*STEPS, 7200)
    at, parts, numbered = 0.0, [[]], draw(st.sampled_from([True, True, True, False]))
    for seq in range(draw(st.integers(2, 40))):
        at += rng.choice(steps)
        machine.happen()
        machine.work()
        boot, interfaces = machine.look()
        interval = rng.choice((10.0, 10.0, None))
        if rng.random() < 0.05:
            parts.append([])
        parts[-1].append(sample(at, *interfaces, boot=boot if numbered else None, seq=seq, interval=interval))
    return [one for part in parts for one in completed(part)]
