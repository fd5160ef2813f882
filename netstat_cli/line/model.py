"""The model of a sample: the counters of a machine's interfaces at one moment.

Every field is declared here, once: type, constraint, meaning, unit and source; the order of the fields is the order of
the keys in the line. Decoding, encoding, the API's JSON Schema and README's table of fields are made from these
declarations (see wire.py), and whoever looks at a part of a line only does so with the part of the model that stands
at its front: Head of Sample, Reading of Interface.

None is "the sender did not say". A counter that is 0 by default is left out of the line while it is 0.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

COUNTER_LIMIT = 1 << 64
"""Counters have 64 bits (include/uapi/linux/if_link.h, struct rtnl_link_stats64)."""
MAX_NAME = 64
MAX_TEXT = 256
MAX_INTERFACES = 10_000
MAX_DEPTH = 32
"""Levels of nesting under an unknown key, so that every reader of the line copes."""


RATE_DERIVED = "integrated"
"""The kind of an interface whose counters are the integral of the rates that its sender gave."""


class Moment(int):
    """A moment: milliseconds since the epoch, UTC. In the line it is RFC 3339 text of 24 characters."""

    __slots__ = ()


class Unknown:
    """The keys of a line that the model does not declare, with their values as JSON has them."""

    __slots__ = ("members",)

    def __init__(self, members: Mapping[str, object]) -> None:
        self.members = members

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown) and self.members == other.members

    def __hash__(self) -> int:
        return hash(frozenset(self.members))

    def __repr__(self) -> str:
        return f"Unknown({self.members!r})"


NOTHING = Unknown({})
"""No unknown keys. Always this very object, which encoding leaves out."""


def rule(sentence: str, **constraints: typing.Any) -> Meta:
    """Constrain a type. `sentence` says so to a sender that broke the constraint."""
    return Meta(**constraints, extra={"rule": sentence})


def means(meaning: str, unit: str = "", source: str = "") -> Meta:
    """Describe a field. `source` is where Linux has the value from."""
    return Meta(description=meaning, extra={"unit": unit, "source": source})


# Up to 2^64 - 1: the upper bound is looked at in wire.py, because msgspec's constraints end at 63 bits.
Counter = Annotated[int, rule("should be 0 or more and less than 2^64", ge=0)]
Number = Annotated[float, rule("should be 0 or more, and finite", ge=0, lt=COUNTER_LIMIT)]
Text = Annotated[str, rule(f"should have at most {MAX_TEXT} characters", max_length=MAX_TEXT)]
Name = Annotated[str, rule(f"should have 1 to {MAX_NAME} characters", min_length=1, max_length=MAX_NAME)]
Speed = Annotated[int, rule("should be more than 0 and less than 2^64", gt=0)]
# One of A-Z a-z 0-9, then up to 99 of these and . _ -   web1, pi-4.lan
ServerId = Annotated[
    str,
    rule(
        "should have 1 to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
    ),
]


class Reading(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The front of an interface: which one it is, and the counters that decide about traffic."""

    name: Annotated[Name, means("Name of the interface; unique in its sample.", source="/proc/net/dev")]
    ifindex: Annotated[
        Counter | None,
        means("The kernel's number for the device; one that is made anew gets a new one.", source="SIOCGIFINDEX"),
    ] = None
    kind: Annotated[
        Text | None,
        means(
            "physical, wireless, bridge, bond, vlan, veth, tun, …; aggregate or integrated.",
            source="/sys/class/net/*/uevent, type",
        ),
    ] = None
    is_up: Annotated[bool, means("Up and able to carry traffic.", source="SIOCGIFFLAGS, IFF_RUNNING")]
    speed_mbps: Annotated[Speed | None, means("Speed of the link.", "Mbit/s", "/sys/class/net/*/speed")] = None
    start: Annotated[
        Moment | None,
        means(
            "First sample of the interface's current run: samples of one run can be subtracted.",
            source="whoever stores the line",
        ),
    ] = None
    rx_bytes: Annotated[Counter, means("Received.", "bytes", "/proc/net/dev, column 1")]
    tx_bytes: Annotated[Counter, means("Sent.", "bytes", "/proc/net/dev, column 9")]
    rx_packets: Annotated[Counter, means("Received.", "packets", "/proc/net/dev, column 2")]
    tx_packets: Annotated[Counter, means("Sent.", "packets", "/proc/net/dev, column 10")]


class Interface(Reading, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """One interface at one moment."""

    rx_errors: Annotated[Counter | None, means("Received with an error.", "packets", "/proc/net/dev, column 3")] = None
    tx_errors: Annotated[Counter | None, means("Not sent for an error.", "packets", "/proc/net/dev, column 11")] = None
    rx_dropped: Annotated[Counter | None, means("Received and dropped.", "packets", "/proc/net/dev, column 4")] = None
    tx_dropped: Annotated[Counter | None, means("Dropped before sending.", "packets", "/proc/net/dev, column 12")] = (
        None
    )
    rx_fifo: Annotated[Counter, means("Receive queue overrun.", "packets", "/proc/net/dev, column 5")] = 0
    rx_frame: Annotated[Counter, means("Framing errors.", "packets", "/proc/net/dev, column 6")] = 0
    rx_compressed: Annotated[Counter, means("Received compressed.", "packets", "/proc/net/dev, column 7")] = 0
    rx_multicast: Annotated[Counter, means("Received by multicast.", "packets", "/proc/net/dev, column 8")] = 0
    tx_fifo: Annotated[Counter, means("Send queue overrun.", "packets", "/proc/net/dev, column 13")] = 0
    tx_collisions: Annotated[Counter, means("Collisions.", "packets", "/proc/net/dev, column 14")] = 0
    tx_carrier: Annotated[Counter, means("Carrier lost while sending.", "packets", "/proc/net/dev, column 15")] = 0
    tx_compressed: Annotated[Counter, means("Sent compressed.", "packets", "/proc/net/dev, column 16")] = 0
    master: Annotated[
        Text | None, means("The bridge or bond that this one is a member of.", source="/sys/class/net/*/master")
    ] = None
    lower: Annotated[
        tuple[Name, ...],
        means("What this one is stacked on: a VLAN's parent, a bridge's members.", source="/sys/class/net/*/lower_*"),
    ] = ()
    extra: Unknown = NOTHING


class Head(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The front of a sample: all but its interfaces."""

    timestamp: Annotated[Moment, means("When the counters were read.", source="CLOCK_REALTIME")]
    server_id: Annotated[ServerId, means("The machine's name in the store.", source="the host name")]
    hostname: Annotated[Text | None, means("The machine's host name.", source="uname")] = None
    boot_id: Annotated[Text | None, means("Changes with every boot.", source="/proc/sys/kernel/random/boot_id")] = None
    seq: Annotated[Counter | None, means("The sampler's count of its samples, from 0.")] = None
    interval: Annotated[Number | None, means("Time between the sampler's samples.", "seconds")] = None
    network_rx_bytes_per_sec: Annotated[
        Number | None, means("Received by the node since the sample before.", "bytes/s")
    ] = None
    network_tx_bytes_per_sec: Annotated[
        Number | None, means("Sent by the node since the sample before.", "bytes/s")
    ] = None
    network_start: Annotated[
        Moment | None, means("First sample of the node's current run.", source="whoever stores the line")
    ] = None
    network_rx_bytes: Annotated[Counter | None, means("Received by the node over its uplinks.", "bytes")] = None
    network_tx_bytes: Annotated[Counter | None, means("Sent by the node over its uplinks.", "bytes")] = None
    network_rx_packets: Annotated[Counter | None, means("Received by the node over its uplinks.", "packets")] = None
    network_tx_packets: Annotated[Counter | None, means("Sent by the node over its uplinks.", "packets")] = None


class Sample(Head, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """All interfaces of one server at one moment."""

    network_interfaces: Annotated[
        tuple[Interface, ...] | None, means("Every interface; null where the sender says nothing of them.")
    ] = None
    extra: Unknown = NOTHING

    @property
    def interfaces(self) -> tuple[Interface, ...]:
        """The interfaces; none where the sender said nothing of them."""
        return self.network_interfaces or ()

    def interface(self, name: str) -> Interface | None:
        """The interface of that name, if the sample has it."""
        return next((i for i in self.interfaces if i.name == name), None)


class Field(NamedTuple):
    """A field of the line, as its declaration has it."""

    name: str
    type: typing.Any
    """To convert a value with: see msgspec.convert."""
    required: bool
    rule: str
    """What a value that breaks the constraint is told."""
    meaning: str
    unit: str
    source: str


def fields(model: type[Struct]) -> Iterator[Field]:
    """List a model's fields in the order of the line."""
    hints = typing.get_type_hints(model, include_extras=True)
    for name, required in zip(model.__struct_fields__, _required(model), strict=True):
        if name != "extra":
            metas = list(_metas(hints[name]))
            said: dict[str, str] = {}
            for meta in reversed(metas):
                said |= meta.extra or {}
            meaning = next((meta.description for meta in metas if meta.description), "")
            yield Field(
                name, hints[name], required, said.get("rule", ""), meaning, said.get("unit", ""), said.get("source", "")
            )


def _required(model: type[Struct]) -> list[bool]:
    from msgspec.structs import fields as declared

    return [one.required for one in declared(model)]


def _metas(annotation: typing.Any) -> Iterator[Meta]:
    """The annotations of a type, outermost first."""
    yield from reversed(getattr(annotation, "__metadata__", ()))
    inner = typing.get_args(annotation)
    for one in inner[:1] if typing.get_origin(annotation) is Annotated else inner:
        yield from _metas(one)
