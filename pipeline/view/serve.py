"""A server of the pages for browsers of this machine, where pages from disk are not wanted."""

from __future__ import annotations

import os
from collections.abc import Collection
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

from assets.errors import SynthError

HOST = "127.0.0.1"
# What a browser of this machine calls this machine. Any other name is another site's that points here.
NAMES = (HOST, "localhost")


class _Handler(SimpleHTTPRequestHandler):
    """Files of the pages and of the folders of pictures, nothing else; no lists of folders."""

    def __init__(self, *arguments: Any, allowed: Collection[Path], **more: Any) -> None:
        self.allowed = allowed
        super().__init__(*arguments, **more)

    def send_head(self) -> Any:
        """Answer with a file, or refuse."""
        if (self.headers.get("Host") or "").rpartition(":")[0] not in NAMES:
            self.send_error(HTTPStatus.FORBIDDEN)
            return None
        path = Path(self.translate_path(self.path))
        if not path.is_file() or not any(path.is_relative_to(folder) for folder in self.allowed):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        return super().send_head()

    def log_message(self, *_: Any) -> None:
        """Print nothing: a line for each thumbnail would hide everything else."""


def open_server(page: Path, folders: Collection[Path], port: int) -> tuple[ThreadingHTTPServer, str]:
    """Open a server of a page, of what lies beside and below it, and of files in `folders`; return it and its URL.

    Raises SynthError if the port is taken.
    """
    allowed = [Path(os.path.normpath(folder.absolute())) for folder in (page.parent, *folders)]
    root = Path(os.path.commonpath(allowed))
    handler = partial(_Handler, allowed=allowed, directory=str(root))
    try:
        server = ThreadingHTTPServer((HOST, port), handler)
    except OSError as error:
        raise SynthError(
            "the pages cannot be served",
            code="io-failed",
            where=f"{HOST}:{port}",
            found=str(error),
            hint="give another --port; 0 takes a free one",
        ) from error
    name = quote((allowed[0] / page.name).relative_to(root).as_posix())
    return server, f"http://{HOST}:{server.server_port}/{name}"
