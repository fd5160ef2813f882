"""The description of the API that /openapi.json answers with (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

import msgspec

from netstat_cli import __version__
from netstat_cli.line.model import COUNTER_LIMIT, MAX_INTERFACES, MAX_TEXT, Field, Interface, Sample, fields
from netstat_cli.times import LAST_MOMENT, SECOND
from netstat_cli.traffic.series import MAX_EDGES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string", "maxLength": MAX_TEXT}
_COUNTER: Schema = {"type": "integer", "minimum": 0, "maximum": COUNTER_LIMIT - 1}
_SUM: Schema = {"type": "integer", "minimum": 0, "description": "over the uplinks, so perhaps over 64 bits"}
_RATE: Schema = {
    "type": ["number", "null"],
    "minimum": 0,
    "exclusiveMaximum": COUNTER_LIMIT,
    "description": "bytes per second",
}
_TIME: Schema = {
    "type": "string",
    "format": "date-time",
    "description": "RFC 3339, UTC; from 1970 to 9999",
    "examples": ["2026-11-21T15:39:28.075Z"],
}
_EPOCH_SECONDS: Schema = {
    "type": "number",
    "minimum": 0,
    "maximum": LAST_MOMENT / SECOND,
    "description": "seconds since the epoch",
}
_WHEN: Schema = {"anyOf": [_TIME, _EPOCH_SECONDS]}
_INTERVAL: Schema = {"type": "number", "minimum": 0, "exclusiveMaximum": COUNTER_LIMIT, "description": "seconds"}
_ID: Schema = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"}
_RATES = {"network_rx_bytes_per_sec": _RATE, "network_tx_bytes_per_sec": _RATE}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    return {"type": "object", "properties": properties, "required": required or []}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _ref(name: str) -> Schema:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _answers(schema: Schema, *errors: int) -> Schema:
    said = {str(status): {"description": _ERRORS[status], "content": _json(_ref("Error"))} for status in errors}
    return {"200": {"description": "done", "content": _json(schema)}, **said}


_ERRORS = {
    400: "the request cannot be understood",
    401: "a token is missing or wrong",
    403: "no more servers are taken; without tokens also: a web page, or a public name in Host",
    404: "no such server",
    411: "neither Content-Length nor chunks",
    413: "the body is too large",
    415: "the content type or encoding is not taken",
    422: "a sample is not valid; every wrong field is named",
    503: "saturated or closing; see Retry-After",
    507: "the disk is full; nothing was acknowledged",
}
_STORING = (400, 401, 403, 411, 413, 415, 503, 507)
_IN_PATH = {"name": "server_id", "in": "path", "required": True, "schema": _ID}
_NODE_IN_PATH = {**_IN_PATH, "name": "name"}


def _of_the_model(model: type[msgspec.Struct]) -> Schema:
    """The schema of a model, from its fields' declarations. Unknown keys are welcome."""
    declared = list(fields(model))
    properties = {
        field.name: _INTERFACES if field.name == "network_interfaces" else _of_a_field(field) for field in declared
    }
    return _object(properties, [field.name for field in declared if field.required])


def _of_a_field(field: Field) -> Schema:
    schema = msgspec.json.schema(field.type, schema_hook=lambda _: dict(_WHEN))
    for one in (schema, *schema.get("anyOf", ())):
        if one.get("type") == "integer":
            one["maximum"] = COUNTER_LIMIT - 1  # which msgspec's constraints cannot say
        if "pattern" in one:
            one["pattern"] = _ID["pattern"]
    if field.unit:
        schema["description"] = f"{schema.get('description', '')} In {field.unit}."
    return schema


_INTERFACES: Schema = {"type": ["array", "null"], "items": _ref("Interface"), "maxItems": MAX_INTERFACES}
_RECEIPT = _object(
    {
        "accepted": _COUNTER,
        "duplicates": _COUNTER,
        "rejected": _list(_object({"line": _COUNTER, "error": {"type": "string"}}, ["line", "error"])),
    },
    ["accepted", "duplicates", "rejected"],
)
_HEARTBEAT_ANSWER = _object(
    {
        "status": {"const": "ok"},
        "server_registered": {"type": "boolean"},
        "pending_commands": _list({}),
        "results_acknowledged": _list({}),
    }
)
_STATUS = {"enum": ["online", "warning", "offline"]}
_CLOCK = {
    "clock_skew_seconds": {"type": ["number", "null"], "description": "how far its clock is ahead of this machine's"},
    "clock_ahead_seconds": {"type": ["number", "null"], "description": "too far to be believed: it is set aside"},
}
_SERVER = _object(
    {
        "id": _ID,
        "hostname": {"type": ["string", "null"]},
        "status": _STATUS,
        "last_seen": _TIME,
        **_CLOCK,
        "timestamp": _TIME,
        "first_timestamp": {**_TIME, "type": ["string", "null"]},
        "interval": {**_INTERVAL, "type": ["number", "null"]},
        **_RATES,
        "network_interfaces": _INTERFACES,
    }
)
_DURATION: Schema = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(ms|[smhdwy]))+$", "default": "1h"}
_MOMENT: Schema = {
    "type": "integer",
    "minimum": 0,
    "maximum": LAST_MOMENT,
    "description": "milliseconds since the epoch",
}
_SERIES_QUERY = _object(
    {
        "interface": {"type": ["string", "null"], "description": "null: the node over its uplinks"},
        "edges": {
            "type": "array",
            "items": _MOMENT,
            "minItems": 2,
            "maxItems": MAX_EDGES,
            "uniqueItems": True,
            "description": "each later than the one before",
        },
    },
    ["edges"],
)
_SERIES = _object(
    {
        "server_id": _ID,
        "interface": {"type": ["string", "null"]},
        "current": {"type": ["array", "null"], "items": {"type": "number"}},
        "buckets": _list({"type": "array", "description": "since, until, 4 amounts, seconds covered, gap"}),
    }
)
_NODE = _object(
    {
        "name": _ID,
        "hostname": {"type": ["string", "null"]},
        "internal_ip": {},
        "status": _STATUS,
        "last_seen": {"type": "string", "examples": ["3s ago"]},
        "last_seen_timestamp": {"type": "number"},
        **_CLOCK,
        "network_interfaces": _list({"type": "string"}),
        **_RATES,
        **dict.fromkeys(("network_errin", "network_errout", "network_dropin", "network_dropout"), _SUM),
    }
)
_NODE_REPORT = _object(
    {
        "name": _ID,
        "hostname": _TEXT,
        "internal_ip": _TEXT,
        "timestamp": _WHEN,
        "network_interfaces": {"anyOf": [_list({"type": "string"}), _list(_ref("Interface"))]},
        **_RATES,
    },
    ["name"],
)
_NUMBER: Schema = {"type": "number"}
_POINT_RATES = dict.fromkeys(("rx_bytes_per_sec", "tx_bytes_per_sec"), _NUMBER)
_POINT = _object({"timestamp": _TIME, **dict.fromkeys(("rx_bytes", "tx_bytes"), _SUM), **_POINT_RATES})
_SPARKLINE = _object(
    {
        "server_id": _ID,
        "metric": {"const": "network"},
        "interface": {"type": ["string", "null"]},
        "period": {"type": "string"},
        "data": _list(_POINT),
    }
)
_STATS = _object(
    {
        **dict.fromkeys(("total_nodes", "online_nodes", "offline_nodes"), _COUNTER),
        **{f"{kind}_{rate}": {"type": "number"} for kind in ("avg", "total") for rate in _RATES},
        "timestamp": _TIME,
    }
)


def _operation(summary: str, responses: Schema, **more: Any) -> Schema:
    return {"summary": summary, "responses": responses, **more}


def _body(schema: Schema, content_type: str = "application/json") -> Schema:
    return {"required": True, "content": {content_type: {"schema": schema}}}


def _query(name: str, schema: Schema, description: str) -> Schema:
    return {"name": name, "in": "query", "schema": schema, "description": description}


_SAMPLES = _operation(
    "Store sample lines, one JSON object a line; answered once they are on disk",
    _answers(_RECEIPT, *_STORING),
    requestBody=_body({"type": "string"}, "application/x-ndjson"),
)

DESCRIPTION: Schema = {
    "openapi": "3.1.0",
    "info": {"title": "netcli collector", "version": __version__},
    "paths": {
        "/api/v1/samples": {"post": _SAMPLES, "put": _SAMPLES},
        "/api/v1/agents/heartbeat": {
            "post": _operation(
                "Store one sample", _answers(_HEARTBEAT_ANSWER, *_STORING, 422), requestBody=_body(_ref("Sample"))
            )
        },
        "/api/v1/servers": {"get": _operation("All servers", _answers(_list(_ref("Server")), 401))},
        "/api/v1/servers/{server_id}": {
            "get": _operation("One server", _answers(_ref("Server"), 401, 404), parameters=[_IN_PATH])
        },
        "/api/v1/servers/{server_id}/interfaces": {
            "get": _operation(
                "The interfaces that a server had in a span",
                _answers(_list({"type": "string"}), 400, 401, 404),
                parameters=[
                    _IN_PATH,
                    {**_query("since", _MOMENT, "where the span begins"), "required": True},
                    {**_query("until", _MOMENT, "where it ends"), "required": True},
                    _query("iface", {"type": "string"}, "only those that this glob pattern names"),
                ],
            )
        },
        "/api/v1/servers/{server_id}/series": {
            "post": _operation(
                "What went through an interface between any edges",
                _answers(_SERIES, 400, 401, 404, 411, 413, 415),
                parameters=[_IN_PATH],
                requestBody=_body(_SERIES_QUERY),
            )
        },
        "/api/v1/metrics/sparkline/{server_id}/network": {
            "get": _operation(
                "The counters of an interface, or of the node's uplinks, at about thirty moments",
                _answers(_SPARKLINE, 400, 401, 404),
                parameters=[
                    _IN_PATH,
                    _query("interface", {"type": "string"}, "one interface; without it the node's total"),
                    _query("period", _DURATION, "30m, 1h, 7d, 365d"),
                    _query("points", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 30}, "how many"),
                ],
            )
        },
        "/api/nodes": {
            "get": _operation("All nodes", _answers(_list(_ref("Node")), 401)),
            "post": _operation(
                "Store one node's report",
                _answers(
                    _object({"status": {"const": "success"}, "message": _TEXT, "timestamp": _TIME}), *_STORING, 422
                ),
                requestBody=_body(_NODE_REPORT),
            ),
        },
        "/api/nodes/{name}": {
            "get": _operation("One node", _answers(_ref("Node"), 401, 404), parameters=[_NODE_IN_PATH]),
            "delete": _operation(
                "Forget a node in the live view; its files stay",
                _answers(_object({"status": {"const": "success"}, "message": _TEXT}), 401, 404),
                parameters=[_NODE_IN_PATH],
            ),
        },
        "/api/stats": {"get": _operation("Counts and rates over all nodes", _answers(_STATS, 401))},
        "/healthz": {"get": _operation("Alive", _answers(_object({"status": {"const": "ok"}})))},
        "/openapi.json": {"get": _operation("This description", _answers({"type": "object"}, 401))},
    },
    "components": {
        "schemas": {
            "Interface": _of_the_model(Interface),
            "Sample": _of_the_model(Sample),
            "Server": _SERVER,
            "Node": _NODE,
            "Error": _object({"detail": {}}, ["detail"]),
        }
    },
}
