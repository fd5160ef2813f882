"""What each route takes, refuses and answers."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from netstat_cli.line.model import Moment
from netstat_cli.times import now
from tests.collector.conftest import Running
from tests.disks import FailingDisk
from tests.given import completed, interface, line_of, sample

FIELDS = {"name": "eth0", "is_up": True, "rx_bytes": 1, "tx_bytes": 2, "rx_packets": 3, "tx_packets": 4}
REPORT = {"timestamp": "2026-11-21T12:00:00Z", "server_id": "web1", "network_interfaces": [FIELDS]}
HEARTBEAT = "/api/v1/agents/heartbeat"
LINE, LATER = map(line_of, completed(sample(at, interface(rx=1000)) for at in (0, 10)))
SPARKLINE = "/api/v1/metrics/sparkline/web1/network"


def without(key: str) -> dict[str, Any]:
    """The report without a key, or without one of its interface's."""
    if key in REPORT:
        return {name: value for name, value in REPORT.items() if name != key}
    return REPORT | {"network_interfaces": [{name: value for name, value in FIELDS.items() if name != key}]}


def with_(key: str, value: object) -> dict[str, Any]:
    """The report with another value for a key, or for one of its interface's."""
    return REPORT | ({key: value} if key in REPORT else {"network_interfaces": [FIELDS | {key: value}]})


COUNTER_RANGE = ("should be 0 or more and less than 2^64", "value_error.range")
NOT_AN_INTEGER = ("should be an integer", "type_error.integer")
MISSING = ("is missing", "missing")
ENTRY = ("network_interfaces", 0)


@pytest.mark.parametrize(
    ("report", "loc", "problem"),
    [
        (without("timestamp"), ("timestamp",), MISSING),
        (without("server_id"), ("server_id",), MISSING),
        *[(without(key), (*ENTRY, key), MISSING) for key in FIELDS],
        (with_("rx_bytes", -1), (*ENTRY, "rx_bytes"), COUNTER_RANGE),
        (with_("rx_bytes", 2**64), (*ENTRY, "rx_bytes"), COUNTER_RANGE),
        (with_("tx_bytes", True), (*ENTRY, "tx_bytes"), NOT_AN_INTEGER),
        (with_("rx_packets", "7"), (*ENTRY, "rx_packets"), NOT_AN_INTEGER),
        (with_("tx_packets", 1.5), (*ENTRY, "tx_packets"), NOT_AN_INTEGER),
        (with_("tx_packets", None), (*ENTRY, "tx_packets"), NOT_AN_INTEGER),
        (with_("is_up", 1), (*ENTRY, "is_up"), ("should be true or false", "type_error.bool")),
        (with_("name", ""), (*ENTRY, "name"), ("should have 1 to 64 characters", "value_error.length")),
        (with_("name", "x" * 65), (*ENTRY, "name"), ("should have 1 to 64 characters", "value_error.length")),
        (with_("name", 7), (*ENTRY, "name"), ("should be a string", "type_error.string")),
        (
            with_("network_interfaces", {}),
            ("network_interfaces",),
            ("should be a list of interfaces or null", "type_error.list"),
        ),
        (
            with_("network_interfaces", [FIELDS, FIELDS]),
            ("network_interfaces",),
            ("should not name an interface twice", "value_error.duplicate"),
        ),
        (
            with_("server_id", "../etc"),
            ("server_id",),
            ("should have 1 to 100 of A-Z a-z 0-9 . _ - and begin with a letter or digit", "value_error.server_id"),
        ),
        (
            with_("timestamp", "yesterday"),
            ("timestamp",),
            ("should be an RFC 3339 time such as 2026-11-21T15:39:28.075Z", "value_error.timestamp"),
        ),
        (with_("name", "\ud800"), (), ("holds half of a surrogate pair, which is not text", "value_error.unicode")),
    ],
)
def test_a_wrong_field_is_named(
    collector: Running, report: dict[str, Any], loc: tuple[str | int, ...], problem: tuple[str, str]
) -> None:
    """A field that is missing or wrong is answered with 422, the path to it and what it should be; nothing is stored,
    and the same field in a line of many is refused with the same words."""
    answer = collector.post(HEARTBEAT, report)
    msg, kind = problem
    assert (422, {"detail": [{"loc": ["body", *loc], "msg": msg, "type": kind}]}) == (answer.status, answer.json)
    said = f"{'.'.join(map(str, loc))}: {msg}" if loc else msg
    refused = {"accepted": 0, "duplicates": 0, "rejected": [{"line": 1, "error": said}]}
    assert refused == collector.samples(json.dumps(report))
    assert "".join(collector.stored("web1").values()) == ""


def test_every_wrong_field_is_named_at_once(collector: Running) -> None:
    """A sender hears of all its mistakes in one answer."""
    report = {"timestamp": "2026-11-21T12:00:00Z", "network_interfaces": [FIELDS | {"rx_bytes": -1}, 7]}
    found = [problem["loc"][1:] for problem in collector.post(HEARTBEAT, report).json["detail"]]
    entry = [["network_interfaces", 1]] + [["network_interfaces", 1, key] for key in FIELDS]
    assert [["server_id"], ["network_interfaces", 0, "rx_bytes"], *entry] == found


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (b"", "EMPTY_BODY", "the request has no body; send at least one sample"),
        (b" \r\n ", "EMPTY_BODY", "the request has no body; send at least one sample"),
        (b"[]", "INVALID_JSON", "the body should be one JSON object"),
        (b"7", "INVALID_JSON", "the body should be one JSON object"),
        (b"[1", "INVALID_JSON", "the body is not JSON: Expecting ',' delimiter: line 1 column 3 (char 2)"),
        (b'{"a":NaN}', "INVALID_JSON", "the body is not JSON: NaN is not a JSON number"),
        (b'{"a":-Infinity}', "INVALID_JSON", "the body is not JSON: -Infinity is not a JSON number"),
        (b'{"a":"\xff"}', "INVALID_JSON", "the body is not UTF-8 (byte 6)"),
        (b"[" * 100_000, "INVALID_JSON", "the body is nested too deeply"),
    ],
    ids=["empty", "blank", "list", "number", "cut", "nan", "infinity", "latin-1", "nested"],
)  # fmt: skip
@pytest.mark.parametrize("path", [HEARTBEAT, "/api/nodes"])
def test_a_body_that_is_no_json_object(collector: Running, path: str, body: bytes, code: str, message: str) -> None:
    """Where one object is wanted, anything else is answered with 400 and where it went wrong."""
    answer = collector.request("POST", path, body, {"Content-Type": "application/json"})
    assert (400, {"detail": {"code": code, "message": message}}) == (answer.status, answer.json)


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_good_lines_are_stored_though_others_are_refused(collector: Running, method: str) -> None:
    """Every line of a batch is taken or refused for itself, by its number; blank lines count but mean nothing."""
    bad = [b"", b"not json", b'{"timestamp":NaN}', b"[]"]
    body = b"\n".join([LINE.strip(), *bad, LATER.strip(), LINE.strip(), b"\xff", b""])
    answer = collector.request(method, "/api/v1/samples", body, {"Content-Type": "application/x-ndjson"})
    assert answer.json == {
        "accepted": 2,
        "duplicates": 1,
        "rejected": [
            {"line": 3, "error": "is not JSON: Expecting value: line 1 column 1 (char 0)"},
            {"line": 4, "error": "is not JSON: NaN is not a JSON number"},
            {"line": 5, "error": "should be a JSON object"},
            {"line": 8, "error": "is not UTF-8 (byte 0)"},
        ],
    }
    assert {"2026-11-21.jsonl": (LINE + LATER).decode()} == collector.stored("web1")


def test_a_line_is_stored_as_the_bytes_that_came(collector: Running) -> None:
    """A line in format 1 is kept byte for byte, unknown keys and names beyond ASCII included."""
    line = LINE.replace(b'"eth0"', '"💩0"'.encode()).replace(b"}]}", b',"mtu":1500}],"site":{"rack":[7]}}')
    assert collector.samples(line) == {"accepted": 1, "duplicates": 0, "rejected": []}
    assert {"2026-11-21.jsonl": line.decode()} == collector.stored("web1")


def test_a_line_in_another_spelling_is_rewritten_with_all_its_keys(collector: Running) -> None:
    """Blanks, key order and time zone become those of format 1; unknown keys follow the known ones."""
    entry = (
        '{"rx_bytes": 1, "vendor": "x", "tx_bytes": 2, "rx_packets": 3, "tx_packets": 4, "is_up": true, "name": "e"}'
    )
    collector.samples(
        '{"site": 9, "server_id": "web1", "timestamp": 1795262400.5, "network_interfaces": [' + entry + "]}"
    )
    assert collector.stored("web1") == {
        "2026-11-21.jsonl": '{"timestamp":"2026-11-21T12:00:00.500Z","server_id":"web1",'
        '"network_start":"2026-11-21T12:00:00.500Z","network_rx_bytes":1,"network_tx_bytes":2,"network_rx_packets":3,'
        '"network_tx_packets":4,"network_interfaces":['
        '{"name":"e","is_up":true,"start":"2026-11-21T12:00:00.500Z","rx_bytes":1,"tx_bytes":2,"rx_packets":3,'
        '"tx_packets":4,"vendor":"x"}],"site":9}\n'
    }


def test_a_late_sample_and_a_duplicate(collector: Running) -> None:
    """A sample that comes after a later one is stored beside it and found at its place; one that the store has is
    counted and not stored; the live view keeps the newest."""
    at = now()
    moments = [at - 30_000, at - 10_000, at - 20_000, at - 20_000]
    lines = [
        line_of(replace(sample(0, interface(rx=rx)), timestamp=Moment(moment)))
        for moment, rx in zip(moments, (1000, 9000, 4000, 5555), strict=True)
    ]
    receipts = [collector.samples(line) for line in lines]
    assert [(one["accepted"], one["duplicates"]) for one in receipts] == [(1, 0), (1, 0), (1, 0), (0, 1)]
    data = collector.get(f"{SPARKLINE}?interface=eth0")["data"]
    assert [point["rx_bytes"] for point in data] == [1000, 4000, 9000]
    assert collector.get("/api/v1/servers/web1")["network_interfaces"][0]["rx_bytes"] == 9000
    text = "".join(collector.stored("web1").values())
    assert (text.count("\n"), "5555" in text) == (3, False)


@pytest.mark.parametrize(
    ("path", "content_type", "status"),
    [
        (HEARTBEAT, "application/json", 200),
        (HEARTBEAT, "Application/JSON; charset=utf-8", 200),
        (HEARTBEAT, "", 200),
        (HEARTBEAT, "text/plain", 415),
        (HEARTBEAT, "application/x-ndjson", 415),
        ("/api/nodes", "application/x-www-form-urlencoded", 415),
        ("/api/v1/samples", "application/x-ndjson", 200),
        ("/api/v1/samples", "application/jsonl", 200),
        ("/api/v1/samples", "application/json", 200),
        ("/api/v1/samples", "", 200),
        ("/api/v1/samples", "text/html", 415),
    ],
)
def test_a_wrong_content_type(collector: Running, path: str, content_type: str, status: int) -> None:
    """A body of a type that is not taken is answered with 415 and the type to send; none at all is no mistake."""
    headers = {"Content-Type": content_type} if content_type else {}
    answer = collector.request("POST", path, json.dumps(REPORT).encode(), headers)
    assert status == answer.status
    if status == 415:
        wanted = "application/x-ndjson" if path == "/api/v1/samples" else "application/json"
        message = f"the content type {content_type!r} is not taken here; send {wanted}"
        assert {"detail": {"code": "UNSUPPORTED_MEDIA_TYPE", "message": message}} == answer.json


@pytest.mark.parametrize(
    ("method", "path", "named"),
    [
        ("GET", "/api/v1/servers/nobody", "'nobody'"),
        ("GET", "/api/nodes/nobody", "'nobody'"),
        ("DELETE", "/api/nodes/nobody", "'nobody'"),
        ("GET", "/api/v1/metrics/sparkline/nobody/network?period=1h", "'nobody'"),
        ("GET", "/api/v1/metrics/sparkline/nobody/network?period=nonsense", "'nobody'"),
        ("GET", "/api/nodes/%1b%5b31m", "'\\x1b[31m'"),
        ("GET", "/api/v1/metrics/sparkline/../network", "'..'"),
    ],
)
def test_an_unknown_server(collector: Running, method: str, path: str, named: str) -> None:
    """A server that never reported is answered with 404 and its name, quoted."""
    answer = collector.request(method, path)
    detail = {"code": "NOT_FOUND", "message": f"no server {named} has reported yet"}
    assert (404, {"detail": detail}) == (answer.status, answer.json)


NOT_A_DURATION = "is not a duration; write for example 500ms, 10s, 5m, 1h30m, 7d or 365d"


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("period=fortnight", "INVALID_PERIOD", f"'fortnight' {NOT_A_DURATION}"),
        ("period=-1h", "INVALID_PERIOD", f"'-1h' {NOT_A_DURATION}"),
        ("period=nan", "INVALID_PERIOD", f"'nan' {NOT_A_DURATION}"),
        ("period=1e999", "INVALID_PERIOD", f"'1e999' {NOT_A_DURATION}"),
        ("period=0s", "INVALID_PERIOD", "the period should be longer than 0 and at most 100y"),
        ("period=101y", "INVALID_PERIOD", "the period should be longer than 0 and at most 100y"),
        *[
            (f"points={points}", "INVALID_POINTS", "points should be a number from 1 to 1000")
            for points in ("0", "1001", "-1", "many", "1.5", "9" * 5000)
        ],
    ],
)
def test_a_bad_period_or_number_of_points(collector: Running, query: str, code: str, message: str) -> None:
    """What cannot be understood of a question is answered with 400 and an example."""
    collector.samples(LINE)
    answer = collector.request("GET", f"{SPARKLINE}?{query}")
    assert (400, {"detail": {"code": code, "message": message}}) == (answer.status, answer.json)


@pytest.mark.parametrize(("query", "count"), [("", 30), ("&points=5", 5), ("&points=1", 1), ("&points=1000", 120)])
def test_about_thirty_points_unless_asked_otherwise(collector: Running, query: str, count: int) -> None:
    """Of more samples than points an even choice is shown, the newest always among them, of fewer all."""
    at = now()
    lines = [
        line_of(replace(sample(0, interface(rx=i * 1000)), timestamp=Moment(at - 1_190_000 + i * 10_000)))
        for i in range(120)
    ]
    assert collector.samples(*lines)["accepted"] == 120
    data = collector.get(f"{SPARKLINE}?period=20m&interface=eth0{query}")["data"]
    assert (count, 119_000) == (len(data), data[-1]["rx_bytes"])
    assert {100.0} == {point["rx_bytes_per_sec"] for point in data[1:]} | {100.0}


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "allow"),
    [
        ("GET", "/", 404, "NOT_FOUND", None),
        ("GET", "/api/v2/samples", 404, "NOT_FOUND", None),
        ("GET", "/api/nodes/web1/x", 404, "NOT_FOUND", None),
        ("GET", "/api/v1/samples", 405, "METHOD_NOT_ALLOWED", "POST, PUT"),
        ("DELETE", "/api/nodes", 405, "METHOD_NOT_ALLOWED", "GET, POST"),
        ("BREW", "/api/stats", 405, "METHOD_NOT_ALLOWED", "GET"),
    ],
)
def test_no_such_page_or_method(
    collector: Running, method: str, path: str, status: int, code: str, allow: str | None
) -> None:
    """A page that is not there is 404 with those that are; a method that it does not have is 405 with those it has."""
    answer = collector.request(method, path)
    assert (status, code, allow) == (answer.status, answer.json["detail"]["code"], answer.headers["Allow"])


@pytest.mark.parametrize("path", ["/healthz", "/healthz/", "/api/nodes/", "/api/v1/servers/", "/api/v1/servers/web%31"])
def test_a_page_by_its_other_spellings(collector: Running, path: str) -> None:
    """A slash at the end, and letters written as %XX, make no difference."""
    collector.samples(LINE)
    assert collector.request("GET", path).status == 200


def test_a_deleted_node_is_back_when_it_reports_again(collector: Running) -> None:
    """DELETE forgets a node in both views; its file stays, and with its next report it is back, not new."""
    collector.post(HEARTBEAT, REPORT)
    message = "node web1 is forgotten until it reports again"
    assert {"status": "success", "message": message} == collector.request("DELETE", "/api/nodes/web1").json
    assert (collector.get("/api/nodes"), collector.get("/api/v1/servers")) == ([], [])
    assert collector.get("/api/stats")["total_nodes"] == 0
    assert list(collector.stored("web1")) == ["2026-11-21.jsonl"]
    again = collector.post(HEARTBEAT, REPORT | {"timestamp": "2026-11-21T12:00:10Z"}).json
    assert again["server_registered"] is False
    assert [node["name"] for node in collector.get("/api/nodes")] == ["web1"]
    assert collector.stored("web1")["2026-11-21.jsonl"].count("\n") == 2


def test_names_stay_escaped_in_every_answer(collector: Running) -> None:
    """Control characters in names from the wire are JSON escapes in what the collector answers."""
    collector.samples(json.dumps(with_("name", "\x1b[31m\u202e") | {"hostname": "\x1b]0;x\x07"}))
    for path in ("/api/nodes", "/api/v1/servers", f"{SPARKLINE}?interface=%1b[31m"):
        text = collector.raw(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        assert (text[9:15], b"\x1b" in text or b"\x07" in text or "\u202e".encode() in text) == (b"200 OK", False)


@pytest.mark.parametrize(
    ("error", "status", "code"), [(errno.ENOSPC, 507, "STORE_FULL"), (errno.EIO, 503, "UNAVAILABLE")]
)
def test_a_disk_that_fails(tmp_path: Path, error: int, status: int, code: str) -> None:
    """What is not on disk is not acknowledged: 507 or 503 with a time to come back, no half line stays, the live view
    does not show it, and sent again it is stored once."""
    disk = FailingDisk()
    with Running(tmp_path / "store", disk=disk) as collector:
        collector.samples(LINE)
        disk.fault = error
        answer = collector.request("POST", "/api/v1/samples", LATER)
        assert (status, code, "5") == (answer.status, answer.json["detail"]["code"], answer.headers["Retry-After"])
        assert {"2026-11-21.jsonl": LINE.decode()} == collector.stored("web1")
        assert collector.get("/api/v1/servers/web1")["timestamp"] == "2026-11-21T12:00:00.000Z"
        disk.fault = None
        assert collector.samples(LATER) == {"accepted": 1, "duplicates": 0, "rejected": []}
        assert {"2026-11-21.jsonl": (LINE + LATER).decode()} == collector.stored("web1")
