"""Reading from another collector's API, with the same answers as from its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import requests

from netstat_cli.errors import InvalidSample, NetcliError, NothingStored
from netstat_cli.line.model import Sample
from netstat_cli.line.wire import sample_from
from netstat_cli.reader import Newest
from netstat_cli.times import SECOND, parse_timestamp
from netstat_cli.traffic.series import MAX_EDGES, Series, from_wire, matching
from netstat_cli.transport.client import NOT_AN_ANSWER, said
from netstat_cli.transport.exchange import READING, ask, new_session, peer_url, shown, url_below

_CLOCK = ("status", "last_seen", "clock_ahead_seconds")
_OF_A_SAMPLE = ("timestamp", "hostname", "interval", "network_interfaces")
_RATES = ("network_rx_bytes_per_sec", "network_tx_bytes_per_sec")


class RemoteReader:
    """Reads a collector."""

    def __init__(self, peer: str, server: str | None = None, session: requests.Session | None = None) -> None:
        self._peer = peer_url(peer)
        self._base = shown(self._peer).rstrip("/")
        self._server = server
        self._session = session or new_session()

    def latest(self) -> list[Sample]:
        return [newest.sample for newest in self.newest(0)]

    def newest(self, at: int) -> list[Newest]:
        path = "/api/v1/servers" + (f"/{quote(self._server)}" if self._server else "")
        answer = self._ask("GET", path)
        found = answer if isinstance(answer, list) else [answer]
        if not found:
            raise NothingStored(f"{self._base} has no samples yet")
        try:
            return [_newest(one, at) for one in found]
        except (InvalidSample, *NOT_AN_ANSWER):
            self._strange()

    def first(self, server_id: str) -> int | None:
        answer = self._ask("GET", f"/api/v1/servers/{quote(server_id)}")
        try:
            return parse_timestamp(answer["first_timestamp"]) if answer["first_timestamp"] else None
        except NOT_AN_ANSWER:
            self._strange()

    def interfaces(self, server_id: str, patterns: Sequence[str], since: int, until: int) -> list[str]:
        listed = self._interfaces(server_id, "", since, until)
        found = matching(listed, patterns)
        for pattern in patterns:
            found += self._interfaces(server_id, pattern, since, until) if pattern not in found else []
        return list(dict.fromkeys(found))

    def _interfaces(self, server_id: str, pattern: str, since: int, until: int) -> list[str]:
        query = {"since": str(since), "until": str(until), "iface": pattern}
        answer = self._ask("GET", f"/api/v1/servers/{quote(server_id)}/interfaces", params=query)
        if not isinstance(answer, list):
            self._strange()
        return [str(name) for name in answer]

    def series(self, server_id: str, interface: str | None, edges: Sequence[int]) -> Series:
        parts = [
            self._series(server_id, interface, edges[begin : begin + MAX_EDGES])
            for begin in range(0, max(1, len(edges) - 1), MAX_EDGES - 1)
        ]
        return parts[-1]._replace(buckets=[bucket for part in parts for bucket in part.buckets])

    def _series(self, server_id: str, interface: str | None, edges: Sequence[int]) -> Series:
        asked = {"interface": interface, "edges": list(edges)}
        answer = self._ask("POST", f"/api/v1/servers/{quote(server_id)}/series", json=asked)
        try:
            return from_wire(answer)
        except NOT_AN_ANSWER:
            self._strange()

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        url = url_below(self._peer, path)
        answer = ask(self._session, method, url, READING, **more)
        if answer.status == 404 and self._server:
            raise NothingStored(f"{self._base}: {said(answer)}")
        if answer.status != 200:
            raise NetcliError(f"{shown(url)} answered {answer.status}: {said(answer)}")
        try:
            return answer.json()
        except NOT_AN_ANSWER:
            self._strange()

    def _strange(self) -> NoReturn:
        raise NetcliError(f"{self._base} does not answer as a netcli collector does", hint="check the address")


def _newest(one: dict[str, Any], at: int) -> Newest:
    """A server as the collector tells of it: if it is alive is the collector's word."""
    sample = sample_from({"server_id": one["id"], **{key: one[key] for key in (*_OF_A_SAMPLE, *_RATES)}})
    status, last_seen, ahead_s = (one[key] for key in _CLOCK)
    return Newest(sample, str(status), max(0, at - parse_timestamp(last_seen)), round((ahead_s or 0) * SECOND))
