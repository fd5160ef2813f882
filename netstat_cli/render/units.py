"""Numbers as people read them: SI by default, two decimals, the unit always said."""

from __future__ import annotations

import re
from enum import Enum


class Units(Enum):
    """Which family of units to show: name of the unit, its factor to bytes, the step between prefixes, the prefixes."""

    SI = ("B", 1, 1000, ("", "k", "M", "G", "T", "P", "E"))
    BITS = ("bit", 8, 1000, ("", "k", "M", "G", "T", "P", "E"))
    IEC = ("B", 1, 1024, ("", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"))


def format_amount(value: float, units: Units) -> str:
    """An amount of bytes: 12.40 MB, 99.20 Mbit, 11.83 MiB."""
    name, factor, step, prefixes = units.value
    value *= factor
    for prefix in prefixes:
        if abs(value) < step - step / 200_000 or prefix == prefixes[-1]:  # 999.996 is shown as 1.00 of the next
            break
        value /= step
    return f"{value:.2f} {prefix}{name}"


def format_rate(bytes_per_second: float | None, units: Units) -> str:
    """A rate: 12.40 MB/s; a dash where nothing is known."""
    return "-" if bytes_per_second is None else f"{format_amount(bytes_per_second, units)}/s"


def format_megabytes(bytes_per_second: float | None) -> str:
    """A rate in MB/s without the unit, for a column that names it."""
    return "-" if bytes_per_second is None else f"{bytes_per_second / 1e6:.2f}"


_SIZES: dict[str, int] = {name: 1000**power for power, name in enumerate(("B", "kB", "MB", "GB", "TB", "PB", "EB"))}
_SIZES |= {name: 1024**power for power, name in enumerate(("KiB", "MiB", "GiB", "TiB", "PiB", "EiB"), 1)}
_SIZES |= {"KB": 1000}


def parse_size(text: str) -> int:
    """Bytes of 2TB, 500 GB, 1.5TiB. A bare M could be either family, and is refused. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if match is None or match[2] not in _SIZES:
        raise ValueError(f"{text!r} is not an amount; write for example 500GB, 2TB or 1.5TiB")
    return round(float(match[1]) * _SIZES[match[2]])
