"""The commands of galleries and recognition: synth gallery, synth recognize."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from assets.plurals import count_of
from pipeline.cli.choices import INDEX
from pipeline.cli.command import Command, CommandGroup
from pipeline.cli.options import list_arguments, optional_list_arguments
from pipeline.cli.output import open_console, output_options, report
from pipeline.cli.types import ANY_PATH, EXISTING_FILE, EXISTING_FOLDER, Workers

if TYPE_CHECKING:
    from assets.catalog.sku_lists import SkuSource

EXISTING = click.Path(exists=True, path_type=Path)
DEVICE = click.option("--device", type=click.Choice(["auto", "cpu", "gpu"]), default="auto", help="What to compute on.")
CACHE = click.option("--cache", type=ANY_PATH, help="Folder for what was made once.  [default: ~/.cache/synth]")
WORKERS = click.option("--workers", type=Workers(), default="auto", help="Processes that render and embed.")


@click.group(cls=CommandGroup)
def gallery() -> None:
    """What every SKU looks like to an embedder: build, add, switch versions, measure."""


@gallery.command()
@list_arguments
@click.option("--out", type=ANY_PATH, required=True, help="Folder of the data set; the same command again resumes.")
@click.option("--views", type=click.IntRange(1, 24), default=8, help="Pictures of each SKU.")
@click.option("--size", type=click.IntRange(32, 1024), default=224, help="Longest side of a product, in pixels.")
@WORKERS
@CACHE
@output_options
def views(sku_list: SkuSource, out: Path, **options: Any) -> None:
    """Render the views of SKU_LIST, each product alone, as a COCO data set."""
    from pipeline.gallery.crops import CropSettings, print_summary, write_views

    console = open_console()
    settings = CropSettings(sku_list, out, options["views"], options["size"], options["workers"], _cache(options))
    summary = _stoppable(lambda stop: write_views(settings, console, stop=stop))
    report(summary)
    print_summary(console, summary)
    _leave(summary)


@gallery.command()
@list_arguments
@click.option("--embedder", type=EXISTING, help="Run of 'synth embedder train'.  [default: the gallery's own]")
@click.option("--out", type=ANY_PATH, required=True, help="Folder of the gallery; the same command again resumes.")
@click.option("--views", type=click.IntRange(1, 24), default=8, help="Pictures of each SKU.")
@click.option("--precision", type=click.Choice(["float32", "float16"]), default="float32", help="Of what is stored.")
@click.option("--index", type=INDEX, default="exact", help="How it is searched.")
@WORKERS
@DEVICE
@CACHE
@output_options
def build(**options: Any) -> None:
    """Render and embed every SKU of SKU_LIST, and use that from then on."""
    _build(options, lambda settings, console, stop: _builder().build_gallery(settings, console, stop=stop))


@gallery.command()
@click.argument("out", metavar="GALLERY", type=EXISTING_FOLDER)
@optional_list_arguments
@click.option("--sku", "keys", multiple=True, help="Only this SKU; repeatable.  [default: all new and changed ones]")
@click.option("--prune", is_flag=True, help="Drop SKUs that the list does not have.")
@click.option("--reviewed", type=EXISTING_FILE, help="decisions.csv of a review page: its photographs become views.")
@click.option("--images", type=EXISTING_FOLDER, help="Where the reviewed pictures lie now.")
@click.option("--embedder", type=EXISTING, help="To make sure that it is the gallery's.  [default: the gallery's own]")
@WORKERS
@DEVICE
@CACHE
@output_options
def add(keys: tuple[str, ...], prune: bool, reviewed: Path | None, images: Path | None, **options: Any) -> None:
    """Add to GALLERY what is new or changed in SKU_LIST, or photographs that people have named (--reviewed).

    Everything else stays as it is.
    """
    if (options["sku_list"] is None) == (reviewed is None):
        raise click.UsageError("give either SKU_LIST, for new and changed SKUs, or --reviewed decisions.csv")
    if reviewed is not None:
        if keys or prune:
            raise click.UsageError("--sku and --prune go with SKU_LIST")
        from pipeline.gallery.photos import add_photos

        look = {name: options[name] for name in ("embedder", "device")}
        _tell(add_photos(options["out"], reviewed, images=images, **look))
    _build(
        options,
        lambda settings, console, stop: _builder().add_to_gallery(settings, console, keys=keys, prune=prune, stop=stop),
    )


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@click.argument("keys", metavar="SKU...", nargs=-1, required=True)
def remove(folder: Path, keys: tuple[str, ...]) -> None:
    """Take SKUs out of GALLERY."""
    _tell(_builder().remove_from_gallery(folder, keys))


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@click.argument("kind", type=INDEX)
def index(folder: Path, kind: str) -> None:
    """Build another index for the version in use, and measure how much it finds."""
    from pipeline.gallery.tools import make_index

    make_index(folder, kind, open_console())


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
def info(folder: Path) -> None:
    """Tell what the version in use holds."""
    from pipeline.gallery.tools import print_info

    print_info(folder, open_console())


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
def versions(folder: Path) -> None:
    """List the versions of GALLERY."""
    from pipeline.gallery.tools import print_versions

    print_versions(folder, open_console())


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@click.argument("version")
def use(folder: Path, version: str) -> None:
    """Use VERSION of GALLERY from now on."""
    from pipeline.gallery.tools import switch

    click.echo(switch(folder, version))


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
def rollback(folder: Path) -> None:
    """Go back to the version that was in use before."""
    from pipeline.gallery.tools import switch

    click.echo(switch(folder, None))


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@click.option("--version", "which", help="Another than the one in use.")
def verify(folder: Path, which: str | None) -> None:
    """Read every file of a version and compare it with its checksum."""
    from detectors.recognition.gallery.versions import current_version
    from pipeline.gallery.tools import verify_version

    problems = verify_version(folder, which)
    for problem in problems:
        click.echo(f"- {problem}")
    found = count_of(len(problems), "problem") if problems else "good"
    click.echo(f"version {which or current_version(folder)}: {found}")
    sys.exit(1 if problems else 0)


def data_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Options of commands that look at labelled photographs."""
    options = (
        click.option("--data", type=EXISTING, required=True, help="Labelled photos: folder or COCO JSON."),
        click.option("--split", help="Of a data set folder."),
        click.option("--images", type=EXISTING_FOLDER, help="Where images lie that are not beside their JSON."),
        click.option("--skip-bad", is_flag=True, help="Leave out records that cannot be used, and count them."),
        click.option("--version", help="Of the gallery.  [default: the one in use]"),
        click.option("--embedder", type=EXISTING, help="To make sure that it is the gallery's."),
        DEVICE,
    )
    for option in reversed(options):
        command = option(command)
    return command


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@data_options
@click.option("--run", type=EXISTING, help="A detector, to measure finding and naming together.")
@click.option("--detection", type=click.FloatRange(0, 1), help="Score of its boxes.  [default: chosen on validation]")
@click.option("--threshold", type=click.FloatRange(-1, 1), help="Similarity of known products.  [default: chosen]")
@click.option("--margin", type=click.FloatRange(0, 2), help="Lead under which a product is for review.")
@click.option("--index", type=click.Choice(["exact"]), help="Search past the gallery's index.")
@click.option("--best", type=click.IntRange(1, 24), default=1, help="A SKU counts by its so many best views.")
@click.option("--out", type=ANY_PATH, help="Folder of report.json and the pages.")
@click.option("--seed", type=click.IntRange(0), default=0, help="Of the resampling for intervals.")
@output_options
def evaluate(folder: Path, **options: Any) -> None:
    """Measure GALLERY on photos: naming, unknown products, review, whole lists."""
    from detectors.recognition.gallery.evaluate import evaluate_gallery
    from detectors.recognition.gallery.print_report import print_report

    console = open_console()
    recognizer = _recognizer(folder, options, "threshold", "margin", "index", "best")
    wanted = {name: options[name] for name in ("run", "detection", "split", "out", "seed")}
    measured = evaluate_gallery(recognizer, options["data"], console, settings=_data(options), **wanted)
    report(measured, without=("given", "found", "mistakes"))
    print_report(console, measured)
    if options["out"]:
        console.print(f"written: {options['out']}", highlight=False, markup=False)


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@data_options
def tune(folder: Path, **options: Any) -> None:
    """Choose the threshold of GALLERY on photos that are not reported on."""
    from detectors.recognition.gallery.evaluate import tune_gallery

    recognizer = _recognizer(folder, options)
    made = tune_gallery(recognizer, options["data"], open_console(), settings=_data(options), split=options["split"])
    click.echo(f"known from {made.threshold:.3f}; for review under a lead of {made.margin:.3f}")


def _recognizer(folder: Path, options: dict[str, Any], *names: str) -> Any:
    from detectors.recognition.gallery.recognize import open_recognizer

    wanted = {name: options[name] for name in ("version", "embedder", "device", *names)}
    return open_recognizer(folder, **wanted)


def _data(options: dict[str, Any]) -> Any:
    from detectors.data.settings import DataSettings

    return DataSettings(images=options["images"], skip_bad=options["skip_bad"])


@gallery.command()
@click.argument("folder", metavar="GALLERY", type=EXISTING_FOLDER)
@click.option("--keep", type=click.IntRange(0), default=3, help="Versions before the one in use.")
def clean(folder: Path, keep: int) -> None:
    """Delete old versions, and every file that no version needs any more."""
    from pipeline.gallery.tools import clean_folder

    click.echo(clean_folder(folder, keep))


def _builder() -> Any:
    import pipeline.gallery.build

    return pipeline.gallery.build


def _build(options: dict[str, Any], make: Callable[[Any, Any, Any], Any]) -> None:
    console = open_console()
    settings = _builder().GalleryBuildSettings(**{**options, "cache": _cache(options)})
    _tell(_stoppable(lambda stop: make(settings, console, stop)))


def _tell(summary: Any) -> None:
    from pipeline.gallery.tools import print_summary

    report(summary)
    print_summary(open_console(), summary)
    _leave(summary)


def _stoppable(make: Callable[[Any], Any]) -> Any:
    from assets.interrupt import stop_on_signals

    with stop_on_signals(step="the SKUs under way") as stop:
        return make(lambda under_way: stop())


def _leave(summary: Any) -> None:
    from assets.interrupt import exit_code

    sys.exit(exit_code() if summary.interrupted else 1 if summary.failed else 0)


def _cache(options: dict[str, Any]) -> Path:
    from pipeline.run.settings import default_cache

    return options["cache"] or default_cache()


@click.command(cls=Command)
@click.argument("arguments", metavar="[RUN] PATH...", nargs=-1, required=True)
@click.option("--gallery", "folder", type=EXISTING_FOLDER, required=True, help="Of 'synth gallery build'.")
@click.option("--out", type=ANY_PATH, required=True, help="Folder for predictions.json and the pictures.")
@click.option("--boxes", type=EXISTING_FILE, help="COCO labels or results with the boxes, in place of RUN.")
@click.option("--threshold", type=click.FloatRange(-1, 1), help="Similarity of known products.  [default: chosen]")
@click.option("--margin", type=click.FloatRange(0, 2), help="Lead under which a product is for review.")
@click.option("--detection", type=click.FloatRange(0, 1), help="Score of boxes.  [default: chosen on validation]")
@click.option("--best", type=click.IntRange(1, 24), default=1, help="A SKU counts by its so many best views.")
@click.option("--version", help="Of the gallery.  [default: the one in use]")
@click.option("--index", type=click.Choice(["exact"]), help="Search past the gallery's index.")
@click.option("--embedder", type=EXISTING, help="To make sure that it is the gallery's.  [default: the gallery's own]")
@click.option(
    "--sku-list", type=EXISTING_FILE, help="The gallery's list: the review page then shows the nearest views."
)
@CACHE
@click.option("--every", type=click.IntRange(1), default=1, help="Every n-th frame of a video.")
@click.option("--draw/--no-draw", default=True, help="Pictures with boxes and names.")
@click.option("--workers", type=click.IntRange(0, 128), default=0, help="Threads that read images.")
@DEVICE
@output_options
def recognize(arguments: tuple[str, ...], folder: Path, **options: Any) -> None:
    """Name the products in pictures, folders, globs, videos or COCO files by a gallery.

    \b
    synth recognize runs/finder --gallery galleries/shop photos/ --out recognized
    synth recognize --boxes photos.json --gallery galleries/shop photos.json --out recognized
    """
    from detectors.recognition.gallery.recognize import RecognizeSettings, print_summary
    from detectors.recognition.gallery.recognize import recognize as recognize_all

    run, paths = (None, arguments) if options["boxes"] else (Path(arguments[0]), arguments[1:])
    if not paths:
        raise click.UsageError("give RUN, the detector, and what to look at; or --boxes and what to look at")
    if run is not None and not run.exists():
        raise click.UsageError(f"there is no run at {run}; with boxes of your own give --boxes FILE")
    console = open_console()
    views = _view_pictures(options.pop("sku_list"), options.pop("cache"))
    settings = RecognizeSettings(gallery=folder, paths=paths, run=run, **options)
    try:
        summary = recognize_all(settings, console, view_picture=views)
    finally:
        if views is not None:
            views.close()
    report({**vars(summary), "skus": len(summary.skus)})
    print_summary(console, summary)
    _leave(summary)


def _view_pictures(sku_list: SkuSource | None, cache: Path | None) -> Any:
    """What renders the views of a list, None without one."""
    if sku_list is None:
        return None
    from pipeline.gallery.pictures import ViewPictures

    return ViewPictures(sku_list, _cache({"cache": cache}))


COMMANDS: tuple[click.Command, ...] = (gallery, recognize)
