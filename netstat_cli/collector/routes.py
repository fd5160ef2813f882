"""What each route does: a request in, an answer out. The plumbing is server.py's."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote

from netstat_cli.collector.http import HttpError, PendingResponse, Request, Response, answer, answer_list
from netstat_cli.collector.live import Live, Node
from netstat_cli.errors import InvalidSample, Problem, UsageProblem
from netstat_cli.line.model import RATE_DERIVED, Sample
from netstat_cli.line.topology import uplinks
from netstat_cli.line.wire import decode, encode, is_server_id, parse_json, sample_from
from netstat_cli.reader import store_reader
from netstat_cli.status import Thresholds, ago
from netstat_cli.store.history import open_history
from netstat_cli.store.writer import MAX_AHEAD, Stored, Writer
from netstat_cli.times import LAST_MOMENT, SECOND, format_timestamp, now, parse_duration
from netstat_cli.traffic.series import MAX_EDGES, points, to_wire

DEFAULT_POINTS, MOST_POINTS = 30, 1000
MOST_LINES = 20_000
LONGEST_LINE = 4 << 20
MOST_SERVERS = 20_000
STORING = frozenset({"/api/v1/samples", "/api/v1/agents/heartbeat", "/api/nodes"})
SMALL_BODY = 1 << 19
"""Some 400 lines with all that netcli says of five interfaces, twenty milliseconds."""
LONGEST_PERIOD = 100 * 365 * 86400 * SECOND
TOTAL_NAME = "total"

_LINE_TYPES = frozenset(
    {"", "application/x-ndjson", "application/jsonl", "application/json", "application/octet-stream"}
)
_OBJECT_TYPES = frozenset({"", "application/json"})
_OF_A_HEARTBEAT = ("timestamp", "server_id", "hostname", "boot_id", "seq", "interval", "network_interfaces")
_RATES = ("network_rx_bytes_per_sec", "network_tx_bytes_per_sec")
_FAULTS = {"network_errin": "rx_errors", "network_errout": "tx_errors", "network_dropin": "rx_dropped"}
_FAULTS["network_dropout"] = "tx_dropped"


class Collector(NamedTuple):
    """What the routes work on."""

    data: str
    writer: Writer
    live: Live
    thresholds: Thresholds

    def store(self, samples: Sequence[Sample], reply: Callable[[list[Stored]], Response]) -> PendingResponse:
        """Hands samples to the store; once they are on disk they are in the live view, and `reply` is the answer.
        Raises StoreError and HttpError."""
        known = self.writer.latest
        room = MOST_SERVERS - len(known)
        new = {sample.server_id for sample in samples if sample.server_id not in known}
        if len(new) > room:
            message = f"this collector knows {MOST_SERVERS} servers and takes no more"
            raise HttpError(HTTPStatus.FORBIDDEN, "TOO_MANY_SERVERS", message)
        ticket = self.writer.submit(samples)

        def stored() -> Response:
            outcome = ticket.wait()
            at = now()
            self.live.saw([one.sample for one in outcome if one.error is None and not one.ahead], at)
            for one in outcome:
                if one.ahead:
                    self.live.saw_ahead(one.sample, one.ahead, at)
            return reply(outcome)

        return stored

    def store_one(self, sample: Sample, body: object) -> PendingResponse:
        """The same for one sample, answered with `body`, or with why no line can be made of it."""

        def reply(outcome: list[Stored]) -> Response:
            if (error := outcome[0].error) is not None:
                raise error
            return answer(body)

        return self.store([sample], reply)


# What agents send


def post_samples(collector: Collector, request: Request) -> PendingResponse:
    """Many lines: the good ones are stored, the others named with their number and what is wrong."""
    _require_body(request, _LINE_TYPES)
    incoming: dict[int, Sample] = {}
    errors: dict[int, str] = {}
    lines = request.body.split(b"\n")
    if len(lines) > MOST_LINES:
        message = f"a batch may have {MOST_LINES} lines; send them in smaller batches"
        raise HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TOO_MANY_LINES", message)
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            errors[number] = f"has over {LONGEST_LINE >> 20} MiB, which no sample needs"
        elif text := line.strip():
            try:
                incoming[number] = decode(text)
            except InvalidSample as error:
                errors[number] = error.message

    def reply(outcome: list[Stored]) -> Response:
        refused = {number: one.error.message for number, one in zip(incoming, outcome, strict=True) if one.error}
        accepted = sum([one.is_new for one in outcome])
        duplicates = len(outcome) - accepted - len(refused)
        rejected = [{"line": number, "error": error} for number, error in sorted((errors | refused).items())]
        return answer({"accepted": accepted, "duplicates": duplicates, "rejected": rejected})

    return collector.store([*incoming.values()], reply)


def post_heartbeat(collector: Collector, request: Request) -> PendingResponse:
    """One sample of an agent of the homelab dashboard; what is not about the network is ignored."""
    _require_body(request, _OBJECT_TYPES)
    sent = _json_object(request)
    known = {key: sent[key] for key in (*_OF_A_HEARTBEAT, *_RATES) if key in sent}
    if "server_id" not in known and "server_guid" in sent:
        known["server_id"] = sent["server_guid"]
    sample = sample_from(known)
    registered = sample.server_id not in collector.writer.latest
    registration = {"server_registered": registered, "pending_commands": [], "results_acknowledged": []}
    return collector.store_one(sample, {"status": "ok", **registration})


def post_node(collector: Collector, request: Request) -> PendingResponse:
    """One node of the cluster map. Its rates become the counters of an interface of their own."""
    _require_body(request, _OBJECT_TYPES)
    sample = sample_from(_of_a_node(_json_object(request)))
    message = f"node {sample.server_id} updated"
    return collector.store_one(sample, {"status": "success", "message": message, "timestamp": format_timestamp(now())})


def _of_a_node(sent: dict[str, object]) -> dict[str, object]:
    """A node's report as the sample that it means."""
    known = {key: sent[key] for key in ("hostname", "boot_id", "interval", "internal_ip", *_RATES) if key in sent}
    known["timestamp"] = sent.get("timestamp", now() / SECOND)
    if (name := sent.get("name", sent.get("server_id"))) is None:
        raise InvalidSample([Problem(("name",), "is missing", "missing")])
    known["server_id"] = name
    listed = sent.get("network_interfaces")
    if isinstance(listed, list) and all(isinstance(item, str) for item in listed):
        known["interface_names"] = listed
        listed = None
    if listed is None and any(sent.get(rate) is not None for rate in _RATES):
        zeros = dict.fromkeys(("rx_bytes", "tx_bytes", "rx_packets", "tx_packets"), 0)
        faults = {ours: sent[theirs] for theirs, ours in _FAULTS.items() if theirs in sent}
        listed = [{"name": TOTAL_NAME, "kind": RATE_DERIVED, "is_up": True, **zeros, **faults}]
    known["network_interfaces"] = listed
    return known


def _require_body(request: Request, types: frozenset[str]) -> None:
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type not in types:
        wanted = sorted(types - {""})[0 if types is _OBJECT_TYPES else -1]
        message = f"the content type {content_type!r} is not taken here; send {wanted}"
        raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", message)
    if not request.body.strip():
        raise HttpError(HTTPStatus.BAD_REQUEST, "EMPTY_BODY", "the request has no body; send at least one sample")


def _json_object(request: Request) -> dict[str, object]:
    try:
        sent = parse_json(request.body)
    except InvalidSample as error:
        raise HttpError(HTTPStatus.BAD_REQUEST, "INVALID_JSON", f"the body {error.message}") from None
    if not isinstance(sent, dict):
        raise HttpError(HTTPStatus.BAD_REQUEST, "INVALID_JSON", "the body should be one JSON object")
    return sent


# What readers ask


def get_servers(collector: Collector, _: Request) -> Response:
    """Every server with its latest sample."""
    return answer_list(_server(collector, node) for node in collector.live.nodes())


def get_server(collector: Collector, _: Request, server_id: str) -> Response:
    """One server with its latest sample, and when its first was taken."""
    node = _find(collector, server_id)
    with open_history(collector.data, server_id, now() + MAX_AHEAD) as history:
        first = history.first()
    return answer({**_server(collector, node), "first_timestamp": format_timestamp(first.timestamp) if first else None})


def get_sparkline(collector: Collector, request: Request, server_id: str) -> Response:
    """The history of one interface, or of the node, in about thirty points."""
    _find(collector, server_id)
    period = request.query.get("period", "1h")
    interface = request.query.get("interface") or None
    try:
        length = parse_duration(period)
    except UsageProblem as error:
        raise _bad("INVALID_PERIOD", f"{error.message}; {error.hint}") from None
    if not 0 < length <= LONGEST_PERIOD:
        raise _bad("INVALID_PERIOD", "the period should be longer than 0 and at most 100y")
    count = request.query.get("points", str(DEFAULT_POINTS))
    if not count.isdecimal() or len(count) > 4 or not 1 <= int(count) <= MOST_POINTS:
        raise _bad("INVALID_POINTS", f"points should be a number from 1 to {MOST_POINTS}")
    until = now()
    with open_history(collector.data, server_id, now() + MAX_AHEAD) as history:
        found = points(history, interface, until - length, until, int(count))
    data = [
        {
            "timestamp": format_timestamp(point.timestamp),
            "rx_bytes": point.counters.rx_bytes,
            "tx_bytes": point.counters.tx_bytes,
            "rx_bytes_per_sec": round(point.rates[0], 2),
            "tx_bytes_per_sec": round(point.rates[1], 2),
        }
        for point in found
    ]
    about = {"server_id": server_id, "metric": "network", "interface": interface, "period": period}
    return answer({**about, "data": data})


def get_interfaces(collector: Collector, request: Request, server_id: str) -> Response:
    """The interfaces that a server had in a span."""
    _find(collector, server_id)
    since, until = (_moment(request.query.get(key), key) for key in ("since", "until"))
    if since >= until:
        raise _bad("INVALID_SPAN", "since should come before until")
    pattern = request.query.get("iface")
    reader = store_reader(collector.data, now(), server_id)
    return answer(reader.interfaces(server_id, [pattern] if pattern else [], since, until))


def post_series(collector: Collector, request: Request, server_id: str) -> Response:
    """What an interface, or the node over its uplinks, carried between any edges."""
    _find(collector, server_id)
    _require_body(request, _OBJECT_TYPES)
    asked = _json_object(request)
    edges, interface = asked.get("edges"), asked.get("interface")
    if interface is not None and not isinstance(interface, str):
        raise _bad("INVALID_INTERFACE", "interface should be a name, or null for the node's total")
    if (
        not isinstance(edges, list)
        or not 2 <= len(edges) <= MAX_EDGES
        or not all(type(edge) is int and 0 <= edge <= LAST_MOMENT for edge in edges)
        or any(later <= edge for edge, later in pairwise(edges))
    ):
        message = f"edges should be 2 to {MAX_EDGES} moments (milliseconds since the epoch), each later than the last"
        raise _bad("INVALID_EDGES", message)
    return answer(to_wire(store_reader(collector.data, now(), server_id).series(server_id, interface, edges)))


def get_nodes(collector: Collector, _: Request) -> Response:
    """Every node with its status and rates."""
    return answer_list(_node(collector, node) for node in collector.live.nodes())


def get_node(collector: Collector, _: Request, server_id: str) -> Response:
    """One node with its status and rates."""
    return answer(_node(collector, _find(collector, server_id)))


def delete_node(collector: Collector, _: Request, server_id: str) -> Response:
    """Forgets a node in the live view; its files stay."""
    if not collector.live.forget(server_id):
        raise _not_found(server_id)
    return answer({"status": "success", "message": f"node {server_id} is forgotten until it reports again"})


def get_stats(collector: Collector, _: Request) -> Response:
    """How many nodes there are, and what those that are online carry."""
    at = now()
    nodes = collector.live.nodes()
    statuses = [node.status(collector.thresholds, at) for node in nodes]
    online = [node.sample for node, status in zip(nodes, statuses, strict=True) if status == "online"]
    sent = sum(sample.network_tx_bytes_per_sec or 0.0 for sample in online)
    received = sum(sample.network_rx_bytes_per_sec or 0.0 for sample in online)
    return answer(
        {
            "total_nodes": len(nodes),
            "online_nodes": len(online),
            "offline_nodes": statuses.count("offline"),
            "avg_network_tx_bytes_per_sec": round(sent / max(1, len(online)), 2),
            "avg_network_rx_bytes_per_sec": round(received / max(1, len(online)), 2),
            "total_network_tx_bytes_per_sec": round(sent, 2),
            "total_network_rx_bytes_per_sec": round(received, 2),
            "timestamp": format_timestamp(at),
        }
    )


def get_health(_: Collector, __: Request) -> Response:
    """Alive."""
    return answer({"status": "ok"})


def get_openapi(_: Collector, __: Request) -> Response:
    """The API's own description."""
    return answer(importlib.import_module("netstat_cli.collector.openapi").DESCRIPTION)


def _moment(text: str | None, key: str) -> int:
    if text is None or not text.isdecimal() or len(text) > 15 or int(text) > LAST_MOMENT:
        raise _bad("INVALID_SPAN", f"{key} should be milliseconds since the epoch")
    return int(text)


def _server(collector: Collector, node: Node) -> dict[str, object]:
    line = json.loads(encode(node.sample))
    kept = ("timestamp", "interval", *_RATES, "network_interfaces")
    return {
        "id": line["server_id"],
        "hostname": line.get("hostname"),
        "status": node.status(collector.thresholds, now()),
        "last_seen": format_timestamp(node.arrived),
        **_clock(node),
        **{key: line.get(key) for key in kept},
    }


def _node(collector: Collector, node: Node) -> dict[str, object]:
    sample = node.sample
    extra, counted = sample.extra.members, uplinks(sample.interfaces)
    silence = now() - node.arrived
    return {
        "name": sample.server_id,
        "hostname": sample.hostname,
        "internal_ip": extra.get("internal_ip"),
        "status": node.status(collector.thresholds, node.arrived + silence),
        "last_seen": ago(silence),
        "last_seen_timestamp": node.arrived / SECOND,
        **_clock(node),
        "network_interfaces": extra.get("interface_names") or [one.name for one in sample.interfaces],
        "network_tx_bytes_per_sec": sample.network_tx_bytes_per_sec,
        "network_rx_bytes_per_sec": sample.network_rx_bytes_per_sec,
        **{theirs: sum(getattr(one, ours) or 0 for one in counted) for theirs, ours in _FAULTS.items()},
    }


def _clock(node: Node) -> dict[str, float | None]:
    """By how many seconds a node's clock is ahead, and by how many a sample was that was set aside for it."""
    return {"clock_skew_seconds": node.skew_s, "clock_ahead_seconds": node.ahead / SECOND if node.ahead else None}


def _find(collector: Collector, server_id: str) -> Node:
    node = collector.live.node(server_id) if is_server_id(server_id) else None
    if node is None:
        raise _not_found(server_id)
    return node


def _not_found(server_id: str) -> HttpError:
    return HttpError(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"no server {server_id[:100]!r} has reported yet")


def _bad(code: str, message: str) -> HttpError:
    return HttpError(HTTPStatus.BAD_REQUEST, code, message)


Route = Callable[..., Response | PendingResponse]
_ID = r"(?P<server_id>[^/]+)"
ROUTES: tuple[tuple[re.Pattern[str], dict[str, Route]], ...] = (
    (re.compile(r"/api/v1/samples"), {"POST": post_samples, "PUT": post_samples}),
    (re.compile(r"/api/v1/agents/heartbeat"), {"POST": post_heartbeat}),
    (re.compile(r"/api/nodes"), {"GET": get_nodes, "POST": post_node}),
    (re.compile(rf"/api/nodes/{_ID}"), {"GET": get_node, "DELETE": delete_node}),
    (re.compile(r"/api/v1/servers"), {"GET": get_servers}),
    (re.compile(rf"/api/v1/servers/{_ID}"), {"GET": get_server}),
    (re.compile(rf"/api/v1/servers/{_ID}/interfaces"), {"GET": get_interfaces}),
    (re.compile(rf"/api/v1/servers/{_ID}/series"), {"POST": post_series}),
    (re.compile(rf"/api/v1/metrics/sparkline/{_ID}/network"), {"GET": get_sparkline}),
    (re.compile(r"/api/stats"), {"GET": get_stats}),
    (re.compile(r"/healthz"), {"GET": get_health}),
    (re.compile(r"/openapi\.json"), {"GET": get_openapi}),
)


def is_quick(request: Request) -> bool:
    """Whether all that a request asks for is that a few samples be stored."""
    small = len(request.body) <= SMALL_BODY and "content-encoding" not in request.headers
    return small and request.method in ("POST", "PUT") and request.path in STORING


def route(collector: Collector, request: Request) -> Response | PendingResponse:
    """The answer to a request, or what waits for the store and has it then. Raises HttpError, InvalidSample (of what
    was sent) and StoreError."""
    method = "GET" if request.method == "HEAD" else request.method
    for pattern, methods in ROUTES:
        if match := pattern.fullmatch(request.path.rstrip("/") or "/"):
            if method not in methods:
                allowed = ", ".join(methods)
                message = f"{method} is not done here; {allowed} is"
                raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED", message, (("Allow", allowed),))
            return methods[method](collector, request, *map(unquote, match.groups()))
    known = "/api/v1/samples, /api/v1/servers, /api/nodes, /api/stats, /healthz, /openapi.json"
    raise HttpError(HTTPStatus.NOT_FOUND, "NOT_FOUND", f"there is no such page; see {known}")
