"""Reading from another collector's API, with the same answers as from its files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn
from urllib.parse import quote

import requests

from netstat_cli import __version__
from netstat_cli.errors import InvalidSample, NetcliError, NothingStored
from netstat_cli.model import Sample
from netstat_cli.series import MOST_EDGES, Series, from_wire, matching
from netstat_cli.times import parse_timestamp
from netstat_cli.transport.client import CONNECT_TIMEOUT, NOT_AN_ANSWER, READ_TIMEOUT, peer_url, reason, said
from netstat_cli.wire import sample_from

_OF_A_SAMPLE = ("timestamp", "hostname", "interval", "network_interfaces")
_RATES = ("network_rx_bytes_per_sec", "network_tx_bytes_per_sec")


class RemoteReader:
    """Reads a collector."""

    def __init__(self, peer: str, server: str | None = None, session: requests.Session | None = None) -> None:
        self._base = peer_url(peer).rstrip("/")
        self._server = server
        self._session = session or requests.Session()
        self._session.headers.update({"User-Agent": f"netcli/{__version__}", "Accept": "application/json"})

    def latest(self) -> list[Sample]:
        path = "/api/v1/servers" + (f"/{quote(self._server)}" if self._server else "")
        answer = self._ask("GET", path)
        found = answer if isinstance(answer, list) else [answer]
        if not found:
            raise NothingStored(f"{self._base} has no samples yet")
        try:
            return [
                sample_from({"server_id": one["id"], **{key: one[key] for key in (*_OF_A_SAMPLE, *_RATES)}})
                for one in found
            ]
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
            self._series(server_id, interface, edges[begin : begin + MOST_EDGES])
            for begin in range(0, max(1, len(edges) - 1), MOST_EDGES - 1)
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
        url = self._base + path
        timeout = (CONNECT_TIMEOUT, READ_TIMEOUT)
        try:
            response = self._session.request(method, url, timeout=timeout, allow_redirects=False, **more)
        except (requests.RequestException, ValueError) as error:
            raise NetcliError(
                f"cannot reach {url}: {reason(error)}", hint="is `netcli serve` running there?"
            ) from error
        if response.status_code == 404 and self._server:
            raise NothingStored(f"{self._base}: {said(response)}")
        if response.status_code != 200:
            raise NetcliError(f"{url} answered {response.status_code}: {said(response)}")
        try:
            return response.json()
        except NOT_AN_ANSWER:
            self._strange()

    def _strange(self) -> NoReturn:
        raise NetcliError(f"{self._base} does not answer as a netcli collector does", hint="check the address")
