"""What one would write without netcli: an endpoint on FastAPI that stores heartbeats with SQLAlchemy in SQLite.

uvicorn tests.benchmarks.rival:app        with $RIVAL_DATABASE naming the file
"""

from __future__ import annotations

import os
from datetime import datetime

from fastapi import FastAPI
from pydantic import BaseModel
from sqlalchemy import BigInteger, ForeignKey, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

engine = create_engine(f"sqlite:///{os.environ['RIVAL_DATABASE']}", connect_args={"timeout": 60})


@event.listens_for(engine, "connect")
def _durable(connection, _):  # type: ignore[no-untyped-def]
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")


class Base(DeclarativeBase):
    """The tables."""


class Heartbeat(Base):
    """A heartbeat."""

    __tablename__ = "heartbeat"
    id: Mapped[int] = mapped_column(primary_key=True)
    server_id: Mapped[str] = mapped_column(index=True)
    hostname: Mapped[str]
    timestamp: Mapped[datetime] = mapped_column(index=True)


class Reading(Base):
    """An interface in a heartbeat."""

    __tablename__ = "reading"
    id: Mapped[int] = mapped_column(primary_key=True)
    heartbeat_id: Mapped[int] = mapped_column(ForeignKey("heartbeat.id"), index=True)
    name: Mapped[str]
    is_up: Mapped[bool]
    rx_bytes: Mapped[int] = mapped_column(BigInteger)
    tx_bytes: Mapped[int] = mapped_column(BigInteger)
    rx_packets: Mapped[int] = mapped_column(BigInteger)
    tx_packets: Mapped[int] = mapped_column(BigInteger)


Base.metadata.create_all(engine)
app = FastAPI()


class InterfaceIn(BaseModel):
    """What the agent sends of an interface."""

    name: str
    is_up: bool
    rx_bytes: int
    tx_bytes: int
    rx_packets: int
    tx_packets: int


class HeartbeatIn(BaseModel):
    """What the agent sends."""

    server_id: str
    hostname: str
    timestamp: datetime
    network_interfaces: list[InterfaceIn]


@app.post("/api/v1/agents/heartbeat")
def heartbeat(sent: HeartbeatIn) -> dict[str, object]:
    """Stores one heartbeat, as the dashboard does: a transaction each."""
    with Session(engine) as session:
        row = Heartbeat(server_id=sent.server_id, hostname=sent.hostname, timestamp=sent.timestamp)
        session.add(row)
        session.flush()
        session.add_all([Reading(heartbeat_id=row.id, **one.model_dump()) for one in sent.network_interfaces])
        session.commit()
    return {"status": "ok"}
