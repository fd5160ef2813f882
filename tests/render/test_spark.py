"""Values as glyphs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.render.spark import ASCII, BLOCKS, sparkline

RISING = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


@pytest.mark.parametrize(
    ("values", "top", "height", "ascii_only", "lines"),
    [
        (RISING, 7.0, 1, False, ["▁▂▃▄▅▆▇█"]),
        (RISING, 7.0, 1, True, ["_.:-=+*#"]),
        (RISING, 14.0, 1, False, ["▁▁▂▃▃▃▄▅"]),
        (RISING, 7.0, 2, False, ["    ▂▄▆█", "▁▃▅▇████"]),
        (RISING, 7.0, 2, True, ["    .-+#", "_:=*####"]),
        ([5.0, None, 0.0, None], 5.0, 1, False, ["█ ▁ "]),
        ([5.0, None, 0.0], 5.0, 3, False, ["█  ", "█  ", "█ ▁"]),
        ([0.0, 0.0], 0.0, 1, False, ["▁▁"]),
        ([None, None], 0.0, 2, False, ["  ", "  "]),
        ([20.0], 10.0, 1, False, ["█"]),
        ([1e-9, 1e18], 1e18, 1, False, ["▁█"]),
        ([], 1.0, 2, False, ["", ""]),
    ],
)
def test_a_glyph_for_each_value(
    values: list[float | None], top: float, height: int, ascii_only: bool, lines: list[str]
) -> None:
    """Zero is the lowest glyph, `top` and beyond the full column, what is not known blank; upper lines come first."""
    assert lines == sparkline(values, top, height, ascii_only)


RATES = st.just(0.0) | st.floats(1e-6, 1e19)


@given(st.lists(st.none() | RATES, max_size=50), RATES, st.integers(1, 5), st.booleans())
def test_every_picture_is_a_full_rectangle(
    values: list[float | None], top: float, height: int, ascii_only: bool
) -> None:
    """Whatever the values are: `height` lines of one known glyph each, and blank columns where nothing is known."""
    lines = sparkline(values, top, height, ascii_only)
    assert [len(values)] * height == [len(line) for line in lines]
    assert set("".join(lines)) <= set(ASCII if ascii_only else BLOCKS)
    columns = ["".join(column) for column in zip(*lines, strict=True)]
    assert [value is None for value in values] == [not column.strip() for column in columns]
