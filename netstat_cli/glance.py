"""Looking into a stored line without reading all of it. Pure; see wire.py for the line."""

from __future__ import annotations

import json
from typing import NamedTuple

from netstat_cli.model import Interface
from netstat_cli.times import format_timestamp
from netstat_cli.wire import json_text, known_time

_JSON = json.JSONDecoder()


class Head(NamedTuple):
    """What a line says before it comes to its interfaces."""

    timestamp: int
    boot_id: str | None
    interval: float | None


def head_of(line: bytes) -> Head:
    """The head of a stored line."""
    end = line.find(b',"network_interfaces":')
    obj = json.loads(line if end < 0 else line[:end] + b"}")
    return Head(known_time(obj["timestamp"]), obj.get("boot_id"), obj.get("interval"))


def needle(name: str) -> bytes:
    """The bytes with which an interface of this name begins in every stored line that has it."""
    return b'{"name":' + json_text(name).encode() + b","


def interface_in(line: bytes, needle: bytes) -> Interface | None:
    """The interface that begins with the needle, if the stored line has it, without `master`, `lower` and unknown keys.
    The others are not read, and the store's own writing is not checked again. Raises ValueError, KeyError or
    InvalidSample for a damaged line."""
    at = line.find(needle)
    if at < 0:
        return None
    obj, _ = _JSON.raw_decode(line[at:].decode())
    get = obj.get
    start = get("start")
    return Interface(
        obj["name"],
        get("ifindex"),
        get("kind"),
        obj["is_up"],
        get("speed_mbps"),
        None if start is None else known_time(start),
        obj["rx_bytes"],
        obj["tx_bytes"],
        obj["rx_packets"],
        obj["tx_packets"],
        get("rx_errors"),
        get("tx_errors"),
        get("rx_dropped"),
        get("tx_dropped"),
    )


class RunMark:
    """Tells by a search for bytes whether a stored line continues a run."""

    def __init__(self, interface: Interface, boot_id: str | None) -> None:
        self._needle = needle(interface.name)
        self._start = b"" if interface.start is None else b'"start":"%s"' % format_timestamp(interface.start).encode()
        self._ifindex = b"" if interface.ifindex is None else b'"ifindex":%d,' % interface.ifindex
        self._boot = b"" if boot_id is None else b'"boot_id":%s,' % json_text(boot_id).encode()

    def __contains__(self, line: bytes) -> bool:
        at = line.find(self._needle)
        if at < 0 or not self._start:
            return False
        end = line.find(b',"rx_bytes":', at)
        return line.find(self._start, at, end) > 0 and line.find(self._ifindex, at, end) > 0 and self._boot in line[:at]
