"""Mesh reader in a separate process: a file that crashes or hangs the reader ends only that process.

Render workers are such processes already; this one is for commands that read meshes in the parent.
"""

from __future__ import annotations

import multiprocessing
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from types import TracebackType

from assets.catalog.sku_lists import Root
from assets.catalog.types import Sku
from assets.errors import SynthError
from assets.interrupt import hold_signals, ignore_signals
from assets.library import load_product
from assets.limits import MESH_MEMORY, MESH_SECONDS
from assets.mesh.load import LoadedMesh


class MeshProcess:
    """Loads products as `load_product` does, in a process started on first use and restarted after a crash."""

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._link: Connection | None = None

    def __enter__(self) -> MeshProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def __call__(self, sku: Sku, root: Root) -> LoadedMesh:
        """Return the SKU's mesh. Raises SynthError if it is unusable, or if reading it crashes or times out."""
        link = self._connect()
        where = str(root / sku.mesh)
        try:
            link.send((sku, root))
            if not link.poll(MESH_SECONDS.maximum):
                self._stop()
                raise SynthError(
                    f"too large: {MESH_SECONDS.name}",
                    code="limit-exceeded",
                    where=where,
                    expected=f"at most {MESH_SECONDS.maximum} (a limit of docs/limits.md)",
                    hint=MESH_SECONDS.hint,
                )
            answer = link.recv()
        except (EOFError, OSError) as error:
            code = self._stop()
            hint = "open it in a 3D program and export it again, GLB is the safest"
            what = "the mesh file crashes the program that reads it"
            raise SynthError(
                what, code="mesh-reader-crashed", where=where, found=f"exit code {code}", hint=hint
            ) from error
        if isinstance(answer, SynthError):
            raise answer
        if isinstance(answer, LoadedMesh):
            return answer
        raise SynthError("the mesh file cannot be read", code="mesh-unreadable", where=where, found=str(answer))

    def _connect(self) -> Connection:
        if self._link is None:
            context = multiprocessing.get_context("spawn")
            self._link, theirs = context.Pipe()
            self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
            with hold_signals():
                self._process.start()
            theirs.close()  # so that the pipe ends when the process does
        return self._link

    def _stop(self) -> int | None:
        """End the process; return its exit code."""
        process, link, self._process, self._link = self._process, self._link, None, None
        if link is None or process is None:
            return None
        link.close()
        process.join(0.2)  # after a crash, report its own exit code rather than that of the kill
        process.kill()
        process.join()
        return process.exitcode


def _serve(link: Connection) -> None:
    """Answer each (SKU, root) with its mesh, a SynthError or a message, until the pipe closes."""
    ignore_signals()
    _limit_memory()
    with suppress(EOFError, OSError):
        while True:
            sku, root = link.recv()
            link.send(_load_or_explain(sku, root))


def _load_or_explain(sku: Sku, root: Root) -> LoadedMesh | SynthError | str:
    try:
        return load_product(sku, root)
    except SynthError as error:
        return error
    except MemoryError:
        return f"it needs more than {MESH_MEMORY.maximum:,} {MESH_MEMORY.name}, or than this machine has"
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _limit_memory() -> None:
    """Set a limit where the system supports one, so that reading fails instead of the machine."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        least = MESH_MEMORY.maximum if most == resource.RLIM_INFINITY else min(MESH_MEMORY.maximum, most)
        resource.setrlimit(resource.RLIMIT_DATA, (least, most))
