"""The few workers, what waits for them, and how they wake the loop."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from netstat_cli.collector.answers import FROM_FILES
from netstat_cli.collector.http import PendingResponse, Request, Response
from netstat_cli.collector.tasks import Overloaded, TaskPool
from netstat_cli.collector.wake import Wake
from netstat_cli.line.wire import encode
from tests.collector.conftest import Running
from tests.disks import FailingDisk
from tests.given import interface, sample

PATIENCE_S = 10


@pytest.fixture
def pool() -> Iterator[TaskPool]:
    """Two threads, and three tasks that may wait."""
    pool = TaskPool("test", 2, 3)
    yield pool
    pool.close()


def test_tasks_run_in_few_threads(pool: TaskPool) -> None:
    """However many there are, no more threads are started than the pool has."""
    before, names, done = threading.active_count(), set[str](), threading.Semaphore(0)

    def task() -> None:
        names.add(threading.current_thread().name)
        done.release()

    for _ in range(50):
        pool.submit(task)
        assert done.acquire(timeout=PATIENCE_S)
    assert {"test-0", "test-1"} >= names
    assert before + 2 == threading.active_count()


def test_what_waits_has_a_bound(pool: TaskPool) -> None:
    """Past it a task is refused at once; when there is room again, the next one is taken."""
    gate, reached, done = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)

    def task() -> None:
        reached.release()
        assert gate.wait(PATIENCE_S)
        done.release()

    for _ in range(2):
        pool.submit(task)
        assert reached.acquire(timeout=PATIENCE_S)
    for _ in range(3):
        pool.submit(task)
    with pytest.raises(Overloaded):
        pool.submit(task)
    assert not pool.is_idle
    gate.set()
    assert all(done.acquire(timeout=PATIENCE_S) for _ in range(5))
    pool.submit(task)
    assert done.acquire(timeout=PATIENCE_S)


def test_a_task_that_fails_takes_no_thread_along(pool: TaskPool, caplog: pytest.LogCaptureFixture) -> None:
    """It is told, and the next ones run."""
    done = threading.Event()
    with caplog.at_level(logging.ERROR, "netstat_cli"):
        for _ in range(2):
            pool.submit(lambda: [][0])
        pool.submit(done.set)
        assert done.wait(PATIENCE_S)
    assert ["a task of test failed: IndexError('list index out of range')"] * 2 == [
        record.getMessage() for record in caplog.records
    ]


class Interrupted:
    """The receiving end of a wake, at which another thread sends in the middle of taking."""

    def __init__(self, wake: Wake, receiver: socket.socket) -> None:
        self.wake, self.receiver = wake, receiver

    def recv(self, size: int) -> bytes:
        self.wake.send()
        taken = self.receiver.recv(size)
        self.wake.send()
        return taken


def test_no_wake_is_lost() -> None:
    """One that is sent while another one is taken wakes the loop then or is seen by it: the next one does again."""
    wake = Wake()
    with selectors.DefaultSelector() as selector:
        selector.register(wake.receiver, selectors.EVENT_READ)
        receiver = wake.receiver
        for _ in range(3):
            wake.send()
            assert selector.select(0)
            wake.receiver = Interrupted(wake, receiver)  # type: ignore[assignment]
            wake.take()
            wake.receiver = receiver
            wake.send()
            assert selector.select(0)
            wake.take()
            assert not selector.select(0)
    wake.close()
    wake.send()


def test_a_slow_disk_holds_up_its_own_answers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While a group of samples waits for the disk, /healthz, questions and refusals are answered."""
    monkeypatch.setattr("netstat_cli.collector.work.QUICK_COMMIT_S", 0.0)
    disk = FailingDisk()
    with Running(tmp_path / "store", disk=disk) as collector:
        first, second = (encode(sample(at, interface(rx=at))) for at in (0, 10))
        collector.samples(first)
        disk.busy.clear()
        disk.go_on.clear()
        sender = threading.Thread(target=collector.samples, args=(second,))
        sender.start()
        assert disk.busy.wait(PATIENCE_S)
        assert {"status": "ok"} == collector.get("/healthz")
        assert ["web1"] == [node["name"] for node in collector.get("/api/nodes")]
        assert 404 == collector.request("GET", "/nothing").status
        disk.go_on.set()
        sender.join(PATIENCE_S)
        assert collector.stored("web1")["2026-11-21.jsonl"].count("\n") == 2


def test_agents_wait_for_a_disk_that_stands_still(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are, and however long it takes: none is refused, and what waited is written as one group."""
    monkeypatch.setattr("netstat_cli.collector.work.MAX_WAITING", 2)
    monkeypatch.setattr("netstat_cli.collector.work.QUICK_COMMIT_S", 0.0)
    disk = FailingDisk()
    with Running(tmp_path / "store", disk=disk) as collector, ExitStack() as stack:
        disk.go_on.clear()
        connections = []
        for number in range(50):
            body = encode(sample(number, interface(rx=number), server=f"web{number}"))
            head = b"POST /api/v1/samples HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
            connections.append(
                stack.enter_context(socket.create_connection(("127.0.0.1", collector.port), timeout=PATIENCE_S))
            )
            connections[-1].sendall(head + body)
            assert disk.busy.wait(PATIENCE_S)
        disk.go_on.set()
        assert all(connection.recv(1 << 16).startswith(b"HTTP/1.1 200 ") for connection in connections)


def test_costly_questions_hold_up_neither_samples_nor_the_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """While as many questions as may be are answered from files, and more wait, agents and dashboards are served."""
    gate = threading.Event()
    with Running(tmp_path / "store") as collector:
        collector.samples(encode(sample(0, interface(rx=1000))))
        respond = collector.server.answers.respond

        def slow(request: Request) -> Response | PendingResponse:
            assert not request.path.startswith(FROM_FILES) or gate.wait(PATIENCE_S)
            return respond(request)

        monkeypatch.setattr(collector.server.answers, "respond", slow)
        answers: list[int] = []
        ask = lambda: answers.append(collector.request("GET", "/api/v1/servers/web1").status)  # noqa: E731
        askers = [threading.Thread(target=ask) for _ in range(10)]
        for asker in askers:
            asker.start()
        assert 1 == collector.samples(encode(sample(10, interface(rx=2000))))["accepted"]
        assert 1 == collector.get("/api/stats")["total_nodes"]
        assert [] == answers
        gate.set()
        for asker in askers:
            asker.join(PATIENCE_S)
        assert [200] * 10 == answers
