"""Histories as servers make them, by chance: whatever breaks or bends the counting of a machine, or of two."""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from netstat_cli.line.model import RATE_DERIVED, Interface, Moment, Sample
from netstat_cli.traffic.increase import WRAP_SIZE
from netstat_cli.traffic.tracker import RunTracker
from tests.given import T0, interface, sample

NAMES = ("eth0", "wlan0", "lan", "tun0")
STEPS = (0.5, 1, 5, 10, 10, 10, 10, 30, 100, 700)
KINDS = ("physical", "physical", "wireless", "bridge", "tun", None)


class Device(NamedTuple):
    """A device of the made-up machine, under the name that it has now."""

    name: str
    kind: str | None
    bytes: int
    packets: int
    speed_mbps: int | None
    master: str | None = None

    def carry(self, amount: int, wraps: bool) -> Device:
        """The device after some traffic, its byte counter perhaps of 32 bits."""
        grown = self.bytes + amount
        return self._replace(bytes=grown % WRAP_SIZE if wraps else grown, packets=self.packets + -(-amount // 1000))


class Machine:
    """A machine to which things happen by chance."""

    def __init__(self, rng: Random, label: str = "") -> None:
        self._rng = rng
        self._label = label
        self._boots = 1
        self._numbers = 1
        self._here: dict[int, Device] = {}
        self._away: dict[int, Device] = {}
        self.knows_boot = rng.random() < 0.75
        self.knows_number = rng.random() < 0.8
        for name in NAMES[: rng.randrange(1, 3)]:
            self._create(name)

    def happen(self) -> None:
        """One thing that breaks or bends the counting; mostly nothing."""
        events = (
            self._reboot,
            self._remove,
            self._add,
            self._rename,
            self._hide,
            self._return,
            self._reset,
            self._correct,
            self._change_role,
        )
        if (chance := self._rng.randrange(3 * len(events))) < len(events):
            events[chance]()

    def work(self) -> None:
        """Traffic over every device."""
        for number, device in self._here.items():
            amount = self._rng.choice((0, 1, 1000, self._rng.randrange(10**7)))
            self._here[number] = device.carry(amount, self._rng.random() < 0.03)

    def look(self) -> tuple[str | None, list[Interface]]:
        """The boot, and the interfaces as a source shows them: now and then one of them with a glitch."""
        boot = f"boot-{self._label}{self._boots}" if self.knows_boot else None
        return boot, [self._show(number, device) for number, device in self._here.items()]

    def _show(self, number: int, device: Device) -> Interface:
        received, packets = device.bytes, device.packets
        chance = self._rng.random()
        if chance < 0.03:
            received = (1 << 64) - 1 - self._rng.randrange(1000)
        elif chance < 0.05:
            packets = 1 << 60
        return interface(
            device.name,
            received,
            device.bytes // 2,
            rx_packets=packets,
            tx_packets=device.packets,
            ifindex=number if self.knows_number else None,
            kind=device.kind,
            speed_mbps=device.speed_mbps,
            master=device.master,
        )

    def _create(self, name: str) -> None:
        self._numbers += 1
        counted = self._rng.choice((0, self._rng.randrange(10**6), self._rng.randrange(WRAP_SIZE)))
        speed, kind = self._rng.choice((None, 100, 10_000)), self._rng.choice(KINDS)
        self._here[self._numbers] = Device(name, kind, counted, self._rng.randrange(10**5), speed)

    def _free_name(self) -> str | None:
        taken = {device.name for device in self._here.values()}
        free = [name for name in NAMES if name not in taken]
        return self._rng.choice(free) if free else None

    def _any(self, devices: dict[int, Device]) -> int | None:
        return self._rng.choice(list(devices)) if devices else None

    def _change(self, **changes: Any) -> None:
        if (number := self._any(self._here)) is not None:
            self._here[number] = self._here[number]._replace(**changes)

    def _reboot(self) -> None:
        names = [device.name for device in self._here.values()]
        self._boots, self._numbers = self._boots + 1, 1
        self._here, self._away = {}, {}
        for name in names:
            self._create(name)

    def _remove(self) -> None:
        number = self._any(self._here)
        self._here.pop(number or 0, None)
        if number and self._rng.random() < 0.3 and (name := self._free_name()) is not None:
            self._numbers = number - 1  # a number that is used again
            self._create(name)

    def _add(self) -> None:
        if (name := self._free_name()) is not None:
            self._create(name)

    def _rename(self) -> None:
        if (name := self._free_name()) is not None:
            self._change(name=name)

    def _hide(self) -> None:
        if (number := self._any(self._here)) is not None:
            self._away[number] = self._here.pop(number)

    def _return(self) -> None:
        number = self._any(self._away)
        names = {device.name for device in self._here.values()}
        if number is not None and number not in self._here and self._away[number].name not in names:
            self._here[number] = self._away.pop(number)

    def _reset(self) -> None:
        self._change(bytes=self._rng.randrange(1000), packets=0)

    def _correct(self) -> None:
        if (number := self._any(self._here)) is not None:
            device = self._here[number]
            self._here[number] = device._replace(bytes=max(0, device.bytes - self._rng.randrange(10_000)))

    def _change_role(self) -> None:
        self._change(kind=self._rng.choice(KINDS), master=self._rng.choice((None, None, *NAMES)))


class Agent:
    """The sampler of a machine: what it says of its runs, and when it is restarted."""

    def __init__(self, rng: Random, machine: Machine) -> None:
        self._rng = rng
        self.machine = machine
        self._tracker = RunTracker()
        self._stamps = rng.choice(("all", "all", "none", "own"))
        self._begun = rng.choice((None, 0.0))
        self._seq = 0

    def take(self, at: float) -> Sample:
        """A sample, `at` seconds after T0 by the machine's own clock."""
        if self._rng.random() < 0.05:
            self._tracker, self._seq = RunTracker(), 0
        self.machine.happen()
        self.machine.work()
        boot, interfaces = self.machine.look()
        if self._stamps == "own":  # starts that nothing ends
            interfaces = [_with_start(one, T0) for one in interfaces]
        seq, interval = self._seq if self._begun is not None else None, self._rng.choice((10.0, 10.0, None))
        self._seq += 1
        taken = sample(at, *interfaces, boot=boot, seq=seq, interval=interval)
        return self._tracker.complete(taken) if self._stamps == "all" else taken


def _with_start(one: Interface, start: int) -> Interface:
    from msgspec.structs import replace

    return replace(one, start=Moment(start))


def rate_only(rng: Random, at: float) -> Sample:
    """A sample of an agent that knows nothing but rates."""
    rates = {"network_rx_bytes_per_sec": rng.random() * 1e6, "network_tx_bytes_per_sec": rng.random() * 1e3}
    zeros = dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), 0)
    listed = Interface(name="eth0", kind=RATE_DERIVED, is_up=True, **zeros)
    return sample(at, listed, boot=None, **rates)


@st.composite
def histories(draw: Any, days: bool = False) -> list[Sample]:
    """The samples of one server, as they arrive in time order, at least two: now and then of two machines that share a
    name, or with an agent of nothing but rates in between; with `days` over the borders of days."""
    rng = draw(st.randoms(use_true_random=False))
    agents = [Agent(rng, Machine(rng, label)) for label in ("a", "b")[: rng.choice((1, 1, 1, 2))]]
    steps = (*STEPS, 43_000, 86_400) if days else (*STEPS, 7200)
    at, found = 0.0, []
    for _ in range(draw(st.integers(2, 40))):
        at += rng.choice(steps)
        found.append(rate_only(rng, at) if rng.random() < 0.02 else rng.choice(agents).take(at))
    return found
