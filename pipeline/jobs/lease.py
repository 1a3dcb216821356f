"""One driver per job: who has it says so again and again at the place; another one that finds this does not begin.

Clocks of two machines are not compared: whoever wants the job looks whether the other's count goes up. On a disk the
lock of the folder decides at once. Should two drivers work on one job nevertheless, they write the same bytes.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from assets.errors import SynthError
from assets.files.atomic import lock_folder
from dataset.storage.path import StoragePath

DRIVER, CANCELLED = "driver.json", "cancelled"
BEAT_S = 2.0
# A driver that has not counted on for so long is gone: it may have to wait for its storage (job_storage.py).
HEARTBEAT_TIMEOUT_S = 20.0
# Between writing one's own name and reading it again: two that begin at once see each other.
SETTLE_S = 1.0
State = Literal["running", "finished", "interrupted", "cancelled", "failed"]


@dataclass(frozen=True)
class Heartbeat:
    """What a driver says. count: rises as long as it lives. progress: numbers for people."""

    host: str
    process: int
    token: str
    count: int
    state: State
    progress: Mapping[str, Any] = field(default_factory=dict)

    @property
    def here(self) -> bool:
        """Whether it is of this machine."""
        return self.host == socket.gethostname()

    def __str__(self) -> str:
        return f"process {self.process} on {self.host}"


def read_beat(place: StoragePath) -> Heartbeat | None:
    """What the last driver said; None where there was none, or its words are damaged."""
    from assets.files.models import parse_model
    from pipeline.jobs.files import DriverFile

    try:
        return Heartbeat(
            **parse_model(DriverFile, place.read(DRIVER), "driver.json", place.locate(DRIVER)).model_dump()
        )
    except (FileNotFoundError, SynthError):
        return None


def is_alive(place: StoragePath, beat: Heartbeat | None) -> bool:
    """Whether the driver of `beat` is at work; one on another machine is listened to for up to HEARTBEAT_TIMEOUT_S."""
    if beat is None or beat.state != "running":
        return False
    if beat.here:
        return _has_process(beat.process)
    deadline = time.monotonic() + HEARTBEAT_TIMEOUT_S
    while time.monotonic() < deadline:
        time.sleep(BEAT_S / 4)
        now = read_beat(place)
        if now is None or (now.token, now.count) != (beat.token, beat.count):
            return now is not None and now.state == "running"
    return False


def is_cancelled(place: StoragePath) -> bool:
    """Whether somebody has asked the job to end. Read, not asked for: clients of storages remember what there was."""
    try:
        place.read(CANCELLED)
    except FileNotFoundError:
        return False
    return True


def _has_process(number: int) -> bool:
    try:
        os.kill(number, 0)
    except OSError as error:
        return not isinstance(error, ProcessLookupError)
    return True


class Lease:
    """The right to drive a job.

    progress: what is told with the next beats. state: what is told at the end. lock: descriptor of a disk's lock.
    """

    def __init__(self, place: StoragePath, lock: int | None) -> None:
        self.place, self.lock = place, lock
        self.progress: dict[str, Any] = {}
        self.state: State = "finished"
        self.cancelled = self.lost = False
        self._token, self._count = uuid.uuid4().hex, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="beat", daemon=True)

    @property
    def over(self) -> bool:
        """Whether the job is to end: cancelled, or another driver has it."""
        return self.cancelled or self.lost

    def begin(self) -> None:
        """Takes the place. Raises SynthError where another driver was quicker."""
        self._say("running")
        if self.lock is None:
            time.sleep(SETTLE_S)
            now = read_beat(self.place)
            if now is None or now.token != self._token:
                raise _taken(self.place, now)
        self._thread.start()

    def end(self) -> None:
        """The last words: how it ended."""
        self._ended.set()
        self._thread.join(BEAT_S)
        if not self.lost:
            with suppress(SynthError, OSError):
                self._say(self.state)

    def _say(self, state: State) -> None:
        self._count += 1
        beat = Heartbeat(socket.gethostname(), os.getpid(), self._token, self._count, state, dict(self.progress))
        self.place.write(DRIVER, json.dumps(beat.__dict__).encode() + b"\n")

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(SynthError, OSError):  # a storage that is out for a while: the job itself will tell
                now = read_beat(self.place)
                if now is not None and now.token != self._token:
                    self.lost = True
                    return
                self.cancelled = self.cancelled or is_cancelled(self.place)
                self._say("running")


@contextmanager
def lease_of(place: StoragePath) -> Iterator[Lease]:
    """The right to drive the job at a place. Raises SynthError that names the driver that has it."""
    if place.local is not None:
        with lock_folder(place.local) as lock:
            yield from _held(Lease(place, lock))
        return
    beat = read_beat(place)
    if is_alive(place, beat):
        raise _taken(place, beat)
    yield from _held(Lease(place, None))


def _held(lease: Lease) -> Iterator[Lease]:
    lease.begin()
    try:
        yield lease
    except KeyboardInterrupt:
        lease.state = "interrupted"
        raise
    except BaseException:
        lease.state = "failed"
        raise
    finally:
        lease.end()


def _taken(place: StoragePath, beat: Heartbeat | None) -> SynthError:
    hint = "wait until it has finished, or stop it: 'synth job cancel PLACE'"
    return SynthError(
        "another driver is running this job",
        code="output-locked",
        where=str(place),
        found=str(beat) if beat else None,
        hint=hint,
    )
