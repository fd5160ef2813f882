"""Text from the wire on a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstat_cli.render.text import align, pad, printable, width


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("eth0", "eth0"),
        ("", ""),
        ("💩0", "💩0"),
        ("éth:0", "éth:0"),
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b2J", "\\x9b2J"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("\u202eeth0", "\\u202eeth0"),
        ("\u200b\u2028\xa0", "\\u200b\\u2028\\xa0"),
        ("\ud800", "\\ud800"),
    ],
)
def test_what_is_not_visible_is_spelled_out(text: str, shown: str) -> None:
    """Escape sequences, control and direction marks and odd blanks are written as escapes; the rest stays."""
    assert shown == printable(text)


@given(st.text())
def test_printable_text_is_printable(text: str) -> None:
    """No text whatever gets a control character onto the terminal, and it can be written as UTF-8."""
    assert printable(text).isprintable()
    assert len(text) <= len(printable(text).encode())


@pytest.mark.parametrize(("text", "columns"), [("eth0", 4), ("", 0), ("網路", 4), ("e\u0301", 1), ("💩0", 3), ("é", 1)])
def test_width_counts_columns_not_characters(text: str, columns: int) -> None:
    """A wide character takes two columns and a combining one none."""
    assert columns == width(text)


@pytest.mark.parametrize(
    ("text", "columns", "right", "padded"),
    [("a", 3, False, "a  "), ("a", 3, True, "  a"), ("網", 3, False, "網 "), ("long", 3, False, "long")],
)
def test_padding_fills_up_and_never_cuts(text: str, columns: int, right: bool, padded: str) -> None:
    """Blanks go after the text, or before it; a text that is too long stays whole."""
    assert padded == pad(text, columns, right)


def test_columns_line_up_two_blanks_apart() -> None:
    """Each column is as wide as its widest cell, figures may be flush right, and no line ends with blanks."""
    rows = [["eth0", "1.00 kB/s", "1h"], ["網路", "12.40 MB/s", ""], ["tailscale0", "-", "2d"]]
    assert align(rows, right=frozenset({1})) == [
        "eth0         1.00 kB/s  1h",
        "網路        12.40 MB/s",
        "tailscale0           -  2d",
    ]
