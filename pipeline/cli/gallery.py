"""Commands for galleries and recognition: synth gallery, synth recognize."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import click

from assets.options import Option
from assets.plurals import count_of
from pipeline.cli.command import Command, CommandGroup
from pipeline.cli.options import Given, Use
from pipeline.cli.output import open_console, report, say

if TYPE_CHECKING:
    from detectors.recognition.settings import GalleryEvaluateSettings, GalleryPhotos
    from pipeline.gallery.settings import CropSettings, GalleryBuildSettings

BUILD = "pipeline.gallery.settings:GalleryBuildSettings"
RECOGNITION = "detectors.recognition.settings"
Folder = Annotated[Path, Option("", exists="folder", metavar="GALLERY")]
Index = Annotated[str, Option("", parse="index")]


@click.group(cls=CommandGroup)
def gallery() -> None:
    """Build galleries (the embeddings of all SKUs), switch their versions, evaluate them."""


@gallery.command(uses={"settings": Use("pipeline.gallery.settings:CropSettings")}, reports=True)
def views(settings: CropSettings) -> None:
    """Render the views of SKU_LIST, each product alone, as a COCO data set."""
    from pipeline.gallery.crops import print_summary, write_views

    console = open_console()
    summary = _stoppable(lambda stop: write_views(settings, console, stop=stop))
    report(summary)
    print_summary(console, summary)
    _leave(summary)


@gallery.command(uses={"settings": Use(BUILD)}, reports=True)
def build(settings: GalleryBuildSettings) -> None:
    """Render and embed every SKU of SKU_LIST into a new version, which is used from then on."""
    _finish(_stoppable(lambda stop: _builder().build_gallery(settings, open_console(), stop=stop)))


ADDED = Use(
    BUILD,
    only=("sku_list", "embedder", "workers", "device", "cache"),
    changes={"sku_list": {"default": None}, "embedder": {"help": "Embedder; must be the gallery's."}},
    partial=True,
)


@gallery.command(uses={"options": ADDED}, reports=True)
def add(
    gallery: Folder,
    options: Given,
    *,
    sku: Annotated[
        tuple[str, ...], Option("Only this SKU. Repeatable.", "Data", shown="all new and changed ones")
    ] = (),
    prune: Annotated[bool, Option("Remove SKUs that are not in the list.", "Data")] = False,
    reviewed: Annotated[
        Path | None, Option("Review decisions (decisions.csv) whose photos become views.", "Data", exists="file")
    ] = None,
    images: Annotated[Path | None, Option("Folder of the reviewed photos.", "Data", exists="folder")] = None,
) -> None:
    """Add new and changed SKUs of SKU_LIST to GALLERY, or photos that have been reviewed (--reviewed).

    Everything else is kept.
    """
    if (options["sku_list"] is None) == (reviewed is None):
        raise click.UsageError("give either SKU_LIST, for new and changed SKUs, or --reviewed decisions.csv")
    if reviewed is not None:
        if sku or prune:
            raise click.UsageError("--sku and --prune go with SKU_LIST")
        from pipeline.gallery.photos import add_photos

        look = {name: options[name] for name in ("embedder", "device")}
        _finish(add_photos(gallery, reviewed, images=images, **look))
    from pipeline.gallery.settings import GalleryBuildSettings

    settings, changes = GalleryBuildSettings(out=gallery, **options), {"keys": sku, "prune": prune}
    _finish(_stoppable(lambda stop: _builder().add_to_gallery(settings, open_console(), stop=stop, **changes)))


@gallery.command()
def remove(gallery: Folder, sku: tuple[str, ...]) -> None:
    """Remove SKUs from GALLERY."""
    _finish(_builder().remove_from_gallery(gallery, sku))


@gallery.command()
def index(gallery: Folder, kind: Index) -> None:
    """Build another index for the current version, and measure its recall."""
    from pipeline.gallery.tools import make_index

    make_index(gallery, kind, open_console())


@gallery.command()
def info(gallery: Folder) -> None:
    """Describe the current version."""
    from pipeline.gallery.tools import print_info

    print_info(gallery, open_console())


@gallery.command()
def versions(gallery: Folder) -> None:
    """List the versions of GALLERY."""
    from pipeline.gallery.tools import print_versions

    print_versions(gallery, open_console())


@gallery.command()
def use(gallery: Folder, version: str) -> None:
    """Use VERSION of GALLERY from now on."""
    from pipeline.gallery.tools import switch

    say(switch(gallery, version))


@gallery.command()
def rollback(gallery: Folder) -> None:
    """Return to the previous version."""
    from pipeline.gallery.tools import switch

    say(switch(gallery, None))


@gallery.command()
def verify(
    gallery: Folder,
    *,
    version: Annotated[str | None, Option("Version to check.", "Gallery", shown="the one in use")] = None,
) -> None:
    """Read every file of a version and compare its checksum."""
    from detectors.recognition.gallery.versions import current_version
    from pipeline.gallery.tools import verify_version

    problems = verify_version(gallery, version)
    for problem in problems:
        say(f"- {problem}")
    found = count_of(len(problems), "problem") if problems else "good"
    say(f"version {version or current_version(gallery)}: {found}")
    sys.exit(1 if problems else 0)


OPENED = ("version", "embedder", "device")
SEARCHED = (*OPENED, "threshold", "margin", "index", "best")


@gallery.command(
    uses={
        "options": Use(f"{RECOGNITION}:RecognizeSettings", only=SEARCHED, partial=True),
        "settings": Use(f"{RECOGNITION}:GalleryEvaluateSettings"),
    },
    reports=True,
)
def evaluate(gallery: Folder, options: Given, settings: GalleryEvaluateSettings) -> None:
    """Evaluate GALLERY on photos: naming, unknown products, review, whole lists."""
    from detectors.recognition.gallery.evaluate import evaluate_gallery
    from detectors.recognition.gallery.print_report import print_report
    from detectors.recognition.gallery.recognize import open_recognizer

    console = open_console()
    measured = evaluate_gallery(open_recognizer(gallery, **options), settings, console)
    report(measured.summary())
    print_report(console, measured)
    if settings.out is not None:
        console.print(f"written: {settings.out}", highlight=False, markup=False)


@gallery.command(
    uses={
        "options": Use(f"{RECOGNITION}:RecognizeSettings", only=OPENED, partial=True),
        "photos": Use(f"{RECOGNITION}:GalleryPhotos"),
    }
)
def tune(gallery: Folder, options: Given, photos: GalleryPhotos) -> None:
    """Choose the threshold of GALLERY on photos that are not used for evaluation."""
    from detectors.recognition.gallery.evaluate import tune_gallery
    from detectors.recognition.gallery.recognize import open_recognizer

    made = tune_gallery(open_recognizer(gallery, **options), photos, open_console())
    say(f"known from {made.threshold:.3f}; for review under a lead of {made.margin:.3f}")


@gallery.command()
def clean(
    gallery: Folder,
    *,
    keep: Annotated[int, Option("Number of versions kept before the one in use.", "Gallery", minimum=0)] = 3,
) -> None:
    """Delete old versions, and every file that no remaining version needs."""
    from pipeline.gallery.tools import clean_folder

    say(clean_folder(gallery, keep))


def _builder() -> Any:
    import pipeline.gallery.build

    return pipeline.gallery.build


def _finish(summary: Any) -> None:
    from pipeline.gallery.tools import print_summary

    report(summary)
    print_summary(open_console(), summary)
    _leave(summary)


def _stoppable(make: Callable[[Any], Any]) -> Any:
    from assets.interrupt import stop_on_signals

    with stop_on_signals(step="the SKUs in progress") as stop:
        return make(lambda in_progress: stop())


def _leave(summary: Any) -> None:
    from assets.interrupt import exit_code

    sys.exit(exit_code() if summary.interrupted else 1 if summary.failed else 0)


@click.command(
    cls=Command,
    uses={
        "options": Use(f"{RECOGNITION}:RecognizeSettings", partial=True),
        "compute": Use("pipeline.run.settings:RunSettings", only=("cache",), partial=True),
    },
    reports=True,
    examples=(
        "synth recognize runs/finder --gallery galleries/shop photos/ --out recognized",
        "synth recognize --boxes photos.json --gallery galleries/shop photos.json --out recognized",
    ),
)
def recognize(
    arguments: Annotated[tuple[str, ...], Option("", metavar="[RUN] PATH...")],
    options: Given,
    compute: Given,
    *,
    sku_list: Annotated[
        Path | None, Option("The gallery's SKU list: the review page then shows views.", "Output", exists="file")
    ] = None,
) -> None:
    """Recognize the products in images, folders, globs, videos or COCO files with a gallery."""
    from detectors.recognition.gallery.recognize import RecognizeSettings, print_summary
    from detectors.recognition.gallery.recognize import recognize as recognize_all

    run, paths = (None, arguments) if options["boxes"] else (Path(arguments[0]), arguments[1:])
    if not paths:
        raise click.UsageError("give RUN (the detector) and PATH; or --boxes and PATH")
    if run is not None and not run.exists():
        raise click.UsageError(f"there is no run at {run}; to use your own boxes give --boxes FILE")
    console = open_console()
    views = _view_images(sku_list, compute["cache"])
    try:
        summary = recognize_all(RecognizeSettings(paths=paths, run=run, **options), console, view_image=views)
    finally:
        if views is not None:
            views.close()
    report({**vars(summary), "skus": len(summary.skus)})
    print_summary(console, summary)
    _leave(summary)


def _view_images(sku_list: Path | None, cache: Path) -> Any:
    """Return a renderer of the views of a list's SKUs, None without a list."""
    if sku_list is None:
        return None
    from pipeline.gallery.images import ViewImages

    return ViewImages(sku_list, cache)


COMMANDS: tuple[click.Command, ...] = (gallery, recognize)
