"""Images of a gallery's views for review pages, rendered again from the SKU list on demand.

A gallery stores a small front of each SKU. Thumbnails of all eight views would take 8 x 1.95 KB, 2.7 GB for 170,000
SKUs, of which people look at some hundred. Rendering a row of views takes 0.28 s of one core (2026-11-29, software): a
page of 300 cases with three SKUs each takes at most 4 min, mostly far less, since every row is rendered once.
"""

from __future__ import annotations

import io
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError

if TYPE_CHECKING:
    from assets.catalog.sku_lists import SkuSource
    from assets.library import Library
    from render.backends.protocol import Backend

SIDE, QUALITY = 180, 85
# Cached rows of views: the candidates of neighbouring cases are often the same.
MAX_KEPT = 64


class ViewImages:
    """Views of SKUs by key and index, as JPEG. The renderer is opened for the first one."""

    def __init__(self, sku_list: SkuSource, cache: Path) -> None:
        self._sku_list, self._cache = sku_list, cache
        self._opened: tuple[Library, Backend] | None = None
        self._row = lru_cache(MAX_KEPT)(self._render_row)

    def __call__(self, key: str, view: int, digest: str) -> bytes:
        """Return view `view` of a SKU whose digest in the gallery is `digest`.

        Empty if the list lacks the SKU, has changed it since, or it cannot be rendered: another image than the
        compared one would mislead.
        """
        from render.views import ROW

        try:
            row = self._row(key, view // ROW, digest)
        except SynthError:
            return b""
        return row[view % ROW] if row else b""

    def close(self) -> None:
        """Free the renderer's memory."""
        if self._opened is not None:
            self._opened[1].close()
            self._opened = None

    def _render_row(self, key: str, row: int, digest: str) -> tuple[bytes, ...]:
        from pipeline.gallery.digest import digest_skus
        from render.views import open_studio, view_row

        if self._opened is None:
            self._opened = open_studio(self._sku_list, self._cache)
        library, backend = self._opened
        if digest_skus(library.catalog, [key], cache=self._cache)[key] != digest:
            return ()
        return tuple(_encode_jpeg(view.image) for view in view_row(library, backend, key, row, side=SIDE))


def _encode_jpeg(image: object) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY)  # type: ignore[arg-type]
    return buffer.getvalue()
