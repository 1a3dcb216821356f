"""Pictures of the views that a gallery's vectors were made of, rendered again from the list where people look at one.

A gallery keeps a small front for each SKU. All eight views as thumbnails would be 8 x 1.95 KB, 2.7 GB of 170,000 SKUs,
of which people look at some hundred. Drawing a row of views takes 0.28 s of one core (2026-11-29, software): a
page of 300 cases with three SKUs each at most 4 min, mostly far less, since every row is drawn once.
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
# Rows of views that are kept: the candidates of neighbouring cases are often the same.
MAX_KEPT = 64


class ViewPictures:
    """Views of SKUs by key and number, as JPEG. Nothing is opened before the first one is asked for."""

    def __init__(self, sku_list: SkuSource, cache: Path) -> None:
        self._sku_list, self._cache = sku_list, cache
        self._opened: tuple[Library, Backend] | None = None
        self._row = lru_cache(MAX_KEPT)(self._render_row)

    def __call__(self, key: str, view: int, digest: str) -> bytes:
        """View number `view` of a SKU whose digest in the gallery is `digest`.

        Empty where the list lacks the SKU, has changed it since, or it cannot be rendered: another picture than what
        was compared would mislead.
        """
        from render.views import ROW

        try:
            row = self._row(key, view // ROW, digest)
        except SynthError:
            return b""
        return row[view % ROW] if row else b""

    def close(self) -> None:
        """Gives the renderer's memory back."""
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
        return tuple(_jpeg(view.picture) for view in view_row(library, backend, key, row, side=SIDE))


def _jpeg(picture: object) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=QUALITY)  # type: ignore[arg-type]
    return buffer.getvalue()
