"""Text made fit for a terminal: what came over the wire may hold escape sequences, and columns must line up."""

from __future__ import annotations

import unicodedata


def printable(text: str) -> str:
    """The text with everything that is not a visible character written as an escape: \\x1b[31m for a colour."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def width(text: str) -> int:
    """The columns that a text takes on a terminal."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(char) else 1 + (unicodedata.east_asian_width(char) in "WF") for char in text)


def pad(text: str, columns: int, right: bool = False) -> str:
    """The text with blanks up to a width, after it or (`right`) before it."""
    blanks = " " * max(0, columns - width(text))
    return blanks + text if right else text + blanks


def align(rows: list[list[str]], right: frozenset[int] = frozenset()) -> list[str]:
    """Rows of cells as lines whose columns line up, two blanks apart; the columns in `right` flush right."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            pad(cell, columns, i in right) for i, (cell, columns) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
