"""Where things lie in a store, and that they are made whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from netstat_cli.errors import NothingStored, StoreError
from netstat_cli.store import layout
from netstat_cli.store.layout import CLOSED, LATE, PLAIN, DayFiles


def test_a_path_depends_on_nothing_but_server_and_day() -> None:
    """The three files that a day can have stand side by side in the server's folder."""
    paths = [layout.day_path("/data", "web1", "2026-11-21", ending) for ending in (PLAIN, LATE, CLOSED)]
    names = ["2026-11-21.jsonl", "2026-11-21.late.jsonl", "2026-11-21.jsonl.gz"]
    assert [f"/data/web1/{name}" for name in names] == paths


def test_days_are_listed_in_order_with_their_files(tmp_path: Path) -> None:
    """Each day is listed once with all that it has; other files are nobody's day."""
    data = str(tmp_path)
    (tmp_path / "web1").mkdir()
    for name in (
        "2026-11-22.jsonl",
        "2026-11-20.jsonl.gz",
        "2026-11-21.late.jsonl",
        "2026-11-21.jsonl",
        "2026-11-23.jsonl.17.tmp",
        "notes.txt",
        "2026-11-21.jsonl~",
        "2026-02-30.jsonl",
    ):
        (tmp_path / "web1" / name).touch()
    at = f"{data}/web1/"
    assert layout.days(data, "web1") == [
        DayFiles("2026-11-20", None, None, at + "2026-11-20.jsonl.gz"),
        DayFiles("2026-11-21", at + "2026-11-21.jsonl", at + "2026-11-21.late.jsonl"),
        DayFiles("2026-11-22", at + "2026-11-22.jsonl"),
    ]
    assert layout.days(data, "nobody") == []


def test_servers_are_the_folders_of_a_store(tmp_path: Path) -> None:
    """Servers are sorted; files, and folders that cannot be a server's, are left out."""
    layout.create(str(tmp_path))
    for name in ("web2", "web1.lan", ".git", "lost+found"):
        (tmp_path / name).mkdir()
    (tmp_path / "lock").touch()
    assert layout.servers(str(tmp_path)) == ["web1.lan", "web2"]


def test_a_store_is_made_once(tmp_path: Path) -> None:
    """Creating makes folder and format file, for this user only; doing it again changes nothing."""
    data = f"{tmp_path}/state/netcli"
    layout.create(data)
    before = os.stat(f"{data}/store.json")
    layout.create(data)
    assert (tmp_path / "state/netcli/store.json").read_text() == '{"format": 1}\n'
    assert before == os.stat(f"{data}/store.json")
    assert [0o700, 0o600] == [stat.S_IMODE(os.stat(path).st_mode) for path in (data, f"{data}/store.json")]
    assert os.listdir(data) == ["store.json"]


@pytest.mark.parametrize("content", ['{"format":2}', '{"format":"1"}', "{}", "[]", "1", "", "{", "\xff"])
def test_a_store_of_another_format_is_refused(tmp_path: Path, content: str) -> None:
    """What a newer netcli may have written is neither read nor written to."""
    (tmp_path / "store.json").write_text(content, "latin-1")
    for use in (layout.check_format, layout.create, layout.servers):
        with pytest.raises(StoreError) as caught:
            use(str(tmp_path))
        message = f"{tmp_path}/store.json does not describe a store that this netcli can read"
        hint = 'it should hold {"format": 1}; a newer netcli may have written it'
        assert (message, hint) == (caught.value.message, caught.value.hint)


def test_no_store_is_nothing_stored(tmp_path: Path) -> None:
    """Where there is no store yet, the error says how to begin one."""
    with pytest.raises(NothingStored) as caught:
        layout.servers(f"{tmp_path}/none")
    assert caught.value.message == f"no samples are stored in {tmp_path}/none"
    assert "netcli collect --store" in (caught.value.hint or "")


def test_a_store_that_cannot_be_made_or_read_says_so(tmp_path: Path) -> None:
    """The error names the folder and the system's reason."""
    (tmp_path / "file").touch()
    data = f"{tmp_path}/file"
    with pytest.raises(StoreError, match=f"^cannot make a store in {data}: File exists$"):
        layout.create(data)
    with pytest.raises(StoreError, match=f"^cannot read {data}/store.json: Not a directory$"):
        layout.servers(data)
    with pytest.raises(StoreError, match=f"^cannot read {data}/web1: Not a directory$"):
        layout.days(data, "web1")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A replacement leaves no temporary file behind, and one that fails leaves the old content."""
    target = tmp_path / "file"
    for content in (b"one", b"two"):
        layout.replace_file(str(target), content)
    assert (b"two", 0o600) == (target.read_bytes(), stat.S_IMODE(target.stat().st_mode))
    (tmp_path / "folder/inside").mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        layout.replace_file(f"{tmp_path}/folder", b"three")
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]
