"""Build of gallery versions from a SKU list: `synth gallery build|add|remove`."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from assets.catalog.load import load_catalog
from assets.catalog.types import Catalog
from assets.errors import SynthError
from assets.files.atomic import sweep_cache, write_atomic
from assets.plurals import count_of, first_few
from detectors.recognition.gallery.embedders import embedder_info_of_run, embedder_path, keep_embedder
from detectors.recognition.gallery.open import Gallery, open_gallery
from detectors.recognition.gallery.versions import EmbedderInfo, current_version, is_gallery, write_gallery
from pipeline.gallery.digest import digest_skus
from pipeline.gallery.photos import with_photos
from pipeline.gallery.render import make_results, plan_folder
from pipeline.gallery.settings import GalleryBuildSettings
from pipeline.gallery.summary import GallerySummary, summary_of
from pipeline.gallery.task import GalleryTask, TaskResult
from pipeline.gallery.version import (
    VectorSpec,
    assign_ids,
    gallery_records,
    join_small,
    make_manifest,
    parts_without,
    publish_version,
    write_parts,
)
from pipeline.workers.pool import never_stop
from render.views import VIEWS_FORMAT

FAILURES = "failures.jsonl"


def build_gallery(
    settings: GalleryBuildSettings, console: Console, *, stop: Callable[[int], bool] = never_stop
) -> GallerySummary:
    """Render and embed every SKU of the list into a new version, which is used once it is complete.

    SKUs that cannot be rendered are skipped and named in the summary. Raises SynthError for an invalid list, without an
    embedder, and if no SKU could be rendered.
    """
    started = time.monotonic()
    catalog = load_catalog(settings.sku_list)
    with write_gallery(settings.out) as lock:
        parent = open_gallery(settings.out) if is_gallery(settings.out) else None
        embedder = _choose_embedder(settings, parent)
        digests = digest_skus(catalog, catalog.keys, cache=settings.cache)
        work = _RenderWork(settings, embedder, console, stop, lock)
        results = work.render(catalog, digests)
        if results is None:
            return _interrupted_summary(settings.out, started)
        ids, next_id = assign_ids(catalog, catalog.keys, parent)
        records = with_photos(
            gallery_records(results, catalog, digests, ids, settings.views), parent, embedder, device=settings.device
        )
        parts = write_parts(settings.out, records, most=settings.part_skus, precision=settings.precision)
        spec = VectorSpec(embedder, settings.views, settings.precision)
        manifest = make_manifest(settings.out, parts, spec, next_id=next_id, parent=parent)
        publish_version(settings.out, manifest, parent, index=settings.index)
        work.finish(results)
        return summary_of(settings.out, started, parent, results)


def add_to_gallery(
    settings: GalleryBuildSettings,
    console: Console,
    *,
    keys: Sequence[str] = (),
    prune: bool = False,
    stop: Callable[[int], bool] = never_stop,
) -> GallerySummary:
    """Render the new and changed SKUs of a list (or those of `keys`) into a new version; all others are kept.

    prune: SKUs missing from the list are dropped. Views, precision and embedder are those of the current version.
    Raises SynthError for another embedder and for keys missing from the list.
    """
    started = time.monotonic()
    catalog = load_catalog(settings.sku_list)
    with write_gallery(settings.out) as lock:
        parent = open_gallery(settings.out)
        _check_views(parent)
        before, embedder = parent.manifest, parent.manifest.embedder
        if settings.embedder is not None:
            parent.check_embedder(embedder_info_of_run(settings.embedder).fingerprint, str(settings.embedder))
        settings = replace(settings, views=before.views, precision=before.precision)
        digests = digest_skus(catalog, keys or catalog.keys, cache=settings.cache)
        digests = {key: digest for key, digest in digests.items() if _known_digest(parent, key) != digest}
        removed = set(parent.keys) - set(catalog.keys) if prune else set()
        if not digests and not removed:
            return summary_of(settings.out, started, parent, [])
        work = _RenderWork(settings, embedder, console, stop, lock)
        results = work.render(catalog, digests)
        if results is None:
            return _interrupted_summary(settings.out, started)
        ids, next_id = assign_ids(catalog, digests.keys(), parent)
        made = gallery_records(results, catalog, digests, ids, settings.views)
        records = list(with_photos(made, parent, embedder, device=settings.device))
        old = parts_without(parent, removed | {sku.sku for sku, _, _ in records})
        old, joined = join_small(settings.out, old, most=settings.part_skus, dim=parent.dim)
        parts = write_parts(settings.out, [*joined, *records], most=settings.part_skus, precision=settings.precision)
        spec = VectorSpec(embedder, before.views, before.precision)
        manifest = make_manifest(settings.out, (*old, *parts), spec, next_id=next_id, parent=parent)
        publish_version(settings.out, manifest, parent, index=None)
        work.finish(results)
        return summary_of(settings.out, started, parent, results, dropped=len(removed))


def remove_from_gallery(folder: Path, keys: Sequence[str]) -> GallerySummary:
    """Make a version without these SKUs. Raises SynthError for keys that the gallery lacks."""
    started = time.monotonic()
    with write_gallery(folder):
        parent = open_gallery(folder)
        missing = sorted(set(keys) - parent.positions.keys())
        if missing:
            raise SynthError(
                "the gallery has no such SKU", code="unknown-sku", where=str(folder), problems=missing[:20]
            )
        before = parent.manifest
        spec = VectorSpec(before.embedder, before.views, before.precision)
        parts = parts_without(parent, set(keys))
        manifest = make_manifest(folder, parts, spec, next_id=before.next_id, parent=parent)
        publish_version(folder, manifest, parent, index=None)
        return summary_of(folder, started, parent, [], dropped=len(set(keys)))


@dataclass
class _RenderWork:
    """The rendering of one command, in its own folder inside the gallery."""

    settings: GalleryBuildSettings
    embedder: EmbedderInfo
    console: Console
    stop: Callable[[int], bool]
    lock: int

    def render(self, catalog: Catalog, digests: Mapping[str, str]) -> list[TaskResult] | None:
        """Return the results of the SKUs in sorted order; None if stopped.

        Raises SynthError if files of the products changed meanwhile, since the gallery would mix two versions.
        """
        settings, embedder = self.settings, self.embedder
        sweep_cache(settings.cache)
        # The product is rendered as large as in the crop of a photograph, which includes the margin.
        side = round(embedder.side / (1 + 2 * embedder.margin))
        options = {"views": settings.views, "side": side, "task_skus": settings.task_skus}
        self.folder = plan_folder(settings.out, digests, embedder.fingerprint, **options)
        task = GalleryTask(
            sku_list=settings.sku_list.absolute(),
            out=self.folder.absolute(),
            embedder=embedder_path(settings.out, embedder.fingerprint).absolute(),
            **options,
            cache=settings.cache.absolute(),
            workers=min(settings.workers, max(-(-len(digests) // settings.task_skus), 1)),
            device=settings.device,
        )
        results = make_results(task, sorted(digests), self.console, stop=self.stop, lock=self.lock)
        if results is not None:
            _check_unchanged(digests, digest_skus(catalog, digests, cache=settings.cache))
        return results

    def finish(self, results: Sequence[TaskResult]) -> None:
        """Record which SKUs failed, and delete the results, once the version is in use."""
        lines = [json.dumps({"sku": key, "reason": reason}) for result in results for key, reason in result.failed]
        write_atomic(self.settings.out / FAILURES, "".join(f"{line}\n" for line in lines).encode())
        shutil.rmtree(self.folder, ignore_errors=True)


def _check_unchanged(before: Mapping[str, str], now: Mapping[str, str]) -> None:
    changed = [f"SKU {key!r}" for key in sorted(before) if now[key] != before[key]]
    if changed:
        hint = "when they no longer change, run the same command again: it renders what is needed"
        what = f"the files of {count_of(len(changed), 'product')} changed while the gallery was built"
        raise SynthError(what, code="product-files-changed", problems=first_few(changed), hint=hint)


def _choose_embedder(settings: GalleryBuildSettings, parent: Gallery | None) -> EmbedderInfo:
    """Return the embedder of a build; a given one is copied into the gallery."""
    if settings.embedder is None:
        if parent is None:
            hint = "give --embedder RUN, from 'synth embedder train'"
            raise SynthError(
                "a new gallery needs an embedder", code="option-missing", where=str(settings.out), hint=hint
            )
        return parent.manifest.embedder
    embedder = embedder_info_of_run(settings.embedder)
    keep_embedder(settings.out, settings.embedder, embedder.fingerprint)
    return embedder


def _check_views(parent: Gallery) -> None:
    if parent.manifest.views_format != VIEWS_FORMAT:
        raise SynthError(
            "the views of the gallery have an unsupported format",
            code="format-version-unsupported",
            where=str(parent.folder),
            found=f"format {parent.manifest.views_format}",
            expected=f"format {VIEWS_FORMAT}",
            hint="'synth gallery build' builds a new version",
        )


def _known_digest(parent: Gallery, key: str) -> str:
    return parent.digests[parent.positions[key]] if key in parent.positions else ""


def _interrupted_summary(folder: Path, started: float) -> GallerySummary:
    version = current_version(folder) if is_gallery(folder) else ""
    return GallerySummary(folder, version, interrupted=True, seconds=time.monotonic() - started)
