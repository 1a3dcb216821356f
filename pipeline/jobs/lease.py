"""Lease on a job: its driver writes heartbeats, and another driver that sees them does not start.

Clocks of two machines are not compared: a driver that wants the job checks whether the other's count rises. On a local
disk the lock of the folder decides at once. If two drivers run one job nevertheless, they write the same bytes.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from typing import Annotated, Any, Literal

from pydantic import Field

from assets.errors import SynthError
from assets.files.atomic import lock_folder, process_exists
from assets.files.models import Count, FileModel, parse_model
from dataset.storage.path import StoragePath

DRIVER, CANCELLED = "driver.json", "cancelled"
HEARTBEAT_S = 2.0
# A driver without a new heartbeat for this long is dead: it may have to wait for its storage
# (dataset/storage/retry.py).
HEARTBEAT_TIMEOUT_S = 20.0
# Between writing one's own heartbeat and reading it back: two drivers that start at once see each other.
SETTLE_S = 1.0
State = Literal["running", "finished", "interrupted", "cancelled", "failed"]


class Heartbeat(FileModel):
    """driver.json: the last report of a driver. count: rises while it lives. progress: numbers to display."""

    host: Annotated[str, Field(max_length=300)]
    process: Annotated[int, Field(ge=1, le=2**31 - 1)]
    token: Annotated[str, Field(max_length=100)]
    count: Count
    state: State
    progress: dict[str, int | float | str | None] = Field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        """Return whether the driver runs on this machine."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


def read_heartbeat(location: StoragePath) -> Heartbeat | None:
    """Return the last heartbeat; None if there is none or it is damaged."""
    try:
        return parse_model(Heartbeat, location.read(DRIVER), "driver.json", location.locate(DRIVER))
    except (FileNotFoundError, SynthError):
        return None


def is_alive(location: StoragePath, heartbeat: Heartbeat | None) -> bool:
    """Return whether the driver of `heartbeat` runs, after up to HEARTBEAT_TIMEOUT_S for one on another machine."""
    if heartbeat is None or heartbeat.state != "running":
        return False
    if heartbeat.is_local:
        return process_exists(heartbeat.process)
    deadline = time.monotonic() + HEARTBEAT_TIMEOUT_S
    while time.monotonic() < deadline:
        time.sleep(HEARTBEAT_S / 4)
        now = read_heartbeat(location)
        if now is None or (now.token, now.count) != (heartbeat.token, heartbeat.count):
            return now is not None and now.state == "running"
    return False


def is_cancelled(location: StoragePath) -> bool:
    """Return whether the job was asked to end. Reads the file: storage clients cache which files exist."""
    try:
        location.read(CANCELLED)
    except FileNotFoundError:
        return False
    return True


class Lease:
    """The right to drive a job.

    progress: sent with the next heartbeats. state: sent at the end. lock: descriptor of a local disk's lock.
    """

    def __init__(self, location: StoragePath, lock: int | None) -> None:
        self.location, self.lock = location, lock
        self.progress: dict[str, Any] = {}
        self.state: State = "finished"
        self.cancelled = self.lost = False
        self._token, self._count = uuid.uuid4().hex, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send_heartbeats, name="beat", daemon=True)

    @property
    def should_end(self) -> bool:
        """Return whether the job must end: it was cancelled, or another driver has taken it."""
        return self.cancelled or self.lost

    def begin(self) -> None:
        """Claim the job. Raises SynthError if another driver was faster."""
        self._write_heartbeat("running")
        if self.lock is None:
            time.sleep(SETTLE_S)
            now = read_heartbeat(self.location)
            if now is None or now.token != self._token:
                raise _lease_taken(self.location, now)
        self._thread.start()

    def end(self) -> None:
        """Send the last heartbeat, with the final state."""
        self._ended.set()
        self._thread.join(HEARTBEAT_S)
        if not self.lost:
            with suppress(SynthError, OSError):
                self._write_heartbeat(self.state)

    def _write_heartbeat(self, state: State) -> None:
        self._count += 1
        heartbeat = Heartbeat(
            host=socket.gethostname(),
            process=os.getpid(),
            token=self._token,
            count=self._count,
            state=state,
            progress=self.progress,
        )
        self.location.write(DRIVER, heartbeat.model_dump_json().encode() + b"\n")

    def _send_heartbeats(self) -> None:
        while not self._ended.wait(HEARTBEAT_S):
            with suppress(SynthError, OSError):  # a storage outage: the job itself reports it
                now = read_heartbeat(self.location)
                if now is not None and now.token != self._token:
                    self.lost = True
                    return
                self.cancelled = self.cancelled or is_cancelled(self.location)
                self._write_heartbeat("running")


@contextmanager
def acquire_lease(location: StoragePath) -> Iterator[Lease]:
    """Hold the lease on the job at `location` in a with block. Raises SynthError that names the driver that has it."""
    with nullcontext() if location.local is None else lock_folder(location.local) as lock:
        if lock is None and is_alive(location, heartbeat := read_heartbeat(location)):
            raise _lease_taken(location, heartbeat)
        lease = Lease(location, lock)
        lease.begin()
        try:
            yield lease
        except BaseException as error:
            lease.state = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            raise
        finally:
            lease.end()


def _lease_taken(location: StoragePath, heartbeat: Heartbeat | None) -> SynthError:
    hint = "wait until it has finished, or stop it: 'synth job cancel PLACE'"
    return SynthError(
        "another driver is running this job",
        code="output-locked",
        where=str(location),
        found=str(heartbeat) if heartbeat else None,
        hint=hint,
    )
