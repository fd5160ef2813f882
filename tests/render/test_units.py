"""Numbers as people read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.render.units import Units, format_amount, format_megabytes, format_rate


@pytest.mark.parametrize(
    ("value", "si", "bits", "iec"),
    [
        (0, "0.00 B", "0.00 bit", "0.00 B"),
        (1, "1.00 B", "8.00 bit", "1.00 B"),
        (999.994, "999.99 B", "8.00 kbit", "999.99 B"),
        (999.996, "1.00 kB", "8.00 kbit", "1000.00 B"),
        (1000, "1.00 kB", "8.00 kbit", "1000.00 B"),
        (1023.996, "1.02 kB", "8.19 kbit", "1.00 KiB"),
        (1024, "1.02 kB", "8.19 kbit", "1.00 KiB"),
        (12.4e6, "12.40 MB", "99.20 Mbit", "11.83 MiB"),
        (5e9, "5.00 GB", "40.00 Gbit", "4.66 GiB"),
        (7e12, "7.00 TB", "56.00 Tbit", "6.37 TiB"),
        (3e15, "3.00 PB", "24.00 Pbit", "2.66 PiB"),
        (2**64 - 1, "18.45 EB", "147.57 Ebit", "16.00 EiB"),
        (1e22, "10000.00 EB", "80000.00 Ebit", "8673.62 EiB"),
    ],
)
def test_an_amount_in_each_family(value: float, si: str, bits: str, iec: str) -> None:
    """Two decimals, the largest prefix that leaves at least one before them, and 1000.00 is never shown for 1.00."""
    assert (si, bits, iec) == tuple(format_amount(value, units) for units in (Units.SI, Units.BITS, Units.IEC))


@given(st.floats(0, 1e18), st.sampled_from(list(Units)))
def test_the_number_stays_below_the_step(value: float, units: Units) -> None:
    """Whatever is shown has fewer digits than would need the next prefix, and is right to half a hundredth of it."""
    name, factor, step, prefixes = units.value
    number, unit = format_amount(value, units).split(" ")
    assert float(number) < step
    assert float(number) == pytest.approx(value * factor / step ** prefixes.index(unit.removesuffix(name)), abs=0.00501)


@pytest.mark.parametrize(("rate", "shown"), [(12.4e6, "12.40 MB/s"), (0.0, "0.00 B/s"), (None, "-")])
def test_a_rate_says_its_unit_and_an_unknown_one_is_a_dash(rate: float | None, shown: str) -> None:
    """A rate is an amount a second; what is not known is a dash and not a zero."""
    assert shown == format_rate(rate, Units.SI)


@pytest.mark.parametrize(("rate", "shown"), [(12.4e6, "12.40"), (0.0, "0.00"), (4999.0, "0.00"), (None, "-")])
def test_megabytes_leave_the_unit_to_the_column(rate: float | None, shown: str) -> None:
    """A column headed MB/s holds numbers with two decimals, and a dash for what is not known."""
    assert shown == format_megabytes(rate)
