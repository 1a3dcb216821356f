"""Settings of a job, stored with it: job.json holds what it makes, how.json how and from which files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from assets.catalog.sku_lists import as_lists, sku_source
from assets.errors import SynthError
from assets.files.models import parse_model
from assets.machine import cache_folder
from assets.options import Option
from assets.plugins import is_python_file, short_name
from dataset.storage.path import StoragePath
from pipeline.jobs.files import HowFile, JobIdentity, Paths
from pipeline.jobs.lease import DRIVER
from pipeline.run.extras import check_extras
from pipeline.run.identity import check_streams, json_digest
from pipeline.run.plugins import check_origins, file_place, trusted_files, unpack_files
from pipeline.run.settings import BackdropFolders, RunSettings

if TYPE_CHECKING:
    from render.recipes.mix import Recipe

JOB, HOW = "job.json", "how.json"
# Fields of RunSettings that decide only how the job runs, not its bytes.
HOW_FIELDS = ("workers", "device", "timeout_s", "max_failures", "memory_mb")
# Those that decide the bytes and have the same name in job.json.
RENDER_FIELDS = (
    *("seed", "views", "width", "height", "backend", "preset", "samples", "denoise", "licence", "creator"),
)
# Fields of JobSettings that decide only how the job runs.
JOB_HOW_FIELDS = ("times", "rounds", "engine", "address", "cpus", "gpus")
FOLDERS = tuple(field.name for field in fields(BackdropFolders))
NEWER_FOLDERS = ("fixtures", "planogram")


@dataclass(frozen=True)
class JobSettings:
    """A job. render: how scenes are sampled and rendered; its `scenes` and `out` are not used.

    visible, pixels: an appearance counts if a fraction of at least `visible` is seen and the box has `pixels` on its
    shorter side. engine, address, cpus, gpus: what runs it (pipeline/jobs/engines/) and what a worker takes of a node.
    """

    render: RunSettings
    location: Annotated[
        StoragePath,
        Option("Folder, or one in an object storage, such as s3://bucket/folder.", "Output", "--out", parse="place"),
    ]
    times: Annotated[
        int,
        Option(
            "Appearances wanted of each SKU.", "Coverage", "--appearances", minimum=1, maximum=10_000, old=("--times",)
        ),
    ] = 20
    visible: Annotated[
        float,
        Option(
            "Visible fraction from which an appearance counts.",
            "Coverage",
            "--min-visibility",
            minimum=0,
            maximum=1,
            old=("--visible",),
        ),
    ] = 0.5
    pixels: Annotated[
        int,
        Option(
            "Shorter side of the box, in pixels, from which an appearance counts.",
            "Coverage",
            "--min-side",
            minimum=1,
            old=("--pixels",),
        ),
    ] = 24
    rounds: Annotated[
        int,
        Option(
            "Extra rounds to fill coverage gaps.",
            "Coverage",
            "--extra-rounds",
            minimum=0,
            maximum=20,
            old=("--rounds",),
        ),
    ] = 3
    shard_scenes: Annotated[int, Option("Scenes per shard.", "Output", minimum=1, maximum=10_000)] = 100
    engine: Annotated[
        str, Option("Where workers run: on this machine or on a Ray cluster.", "Compute", parse="engine")
    ] = "local"
    address: Annotated[
        str, Option("Ray cluster: auto, HOST:PORT or ray://HOST:PORT.", "Compute", shown="this machine")
    ] = ""
    cpus: Annotated[float, Option("CPU cores per worker on a cluster.", "Compute", minimum=0.1)] = 1.0
    gpus: Annotated[float, Option("GPUs per worker on a cluster.", "Compute", minimum=0)] = 0.0


def identity_of(settings: JobSettings) -> JobIdentity:
    """Return what must be equal to resume a job: with the catalogue and the number of its SKUs, it decides every byte.

    Raises SynthError for an unknown recipe, backend or preset, or a missing folder.
    """
    from pipeline.run.plugins import origins_of
    from pipeline.run.resources import open_backdrops, render_settings
    from render.recipes import load_recipe
    from render.sample import DRAWING

    render = settings.render
    recipe = load_recipe(render.recipe, streams=render.streams)
    check_extras(render.extras, recipe)
    resolved = render_settings(render)
    return JobIdentity(
        format=1,
        drawing=DRAWING,
        seed=render.seed,
        views=render.views,
        width=render.width,
        height=render.height,
        backend=short_name(render.backend),
        preset=render.preset,
        samples=resolved.samples,
        denoise=resolved.denoise,
        splits=list(render.splits),
        extras=list(render.extras),
        keypoints=render.keypoints,
        licence=render.licence,
        creator=render.creator,
        visible=settings.visible,
        pixels=settings.pixels,
        shard_scenes=settings.shard_scenes,
        backdrops=json_digest(open_backdrops(render.backdrops).hashes()),
        recipe=_recipe_text(settings, recipe),
        streams=render.streams,
        plugins=origins_of(recipe, render.backend),
    )


def keep_streams(settings: JobSettings) -> JobSettings:
    """Return the settings with the streams version of the existing job, if any: it must not change."""
    existing = read_identity(settings.location)
    if existing is None:
        return settings
    return replace(
        settings,
        render=replace(settings.render, streams=check_streams(existing.streams, settings.location.locate(JOB))),
    )


def _recipe_text(settings: JobSettings, recipe: Recipe) -> str:
    """Return the recipe as YAML; the job's own text if it has the same meaning, whatever its comments."""
    from render.recipes import modules_of, recipe_from_yaml, recipe_yaml

    streams, existing = settings.render.streams, read_identity(settings.location)
    with suppress(SynthError):
        text = existing.recipe if existing is not None else ""
        files = {name: Path(str(module.__file__)) for name, module in modules_of(recipe).items()}
        if text and recipe_from_yaml(text, where=JOB, streams=streams, files=files) == recipe:
            return text
    return recipe_yaml(recipe, streams=streams)


def job_id(identity: JobIdentity) -> str:
    """Return a short name of the job."""
    return identity.digest()[:16]


def claim_location(settings: JobSettings, identity: JobIdentity) -> None:
    """Make the location the job's own, or check that it is. Raises SynthError if it holds anything else."""
    existing = read_identity(settings.location)
    if existing is None:
        if set(settings.location.names()) - {".lock", DRIVER}:
            hint = "give another --out"
            raise SynthError(
                "the location is not empty and contains no job",
                code="output-not-empty",
                where=str(settings.location),
                hint=hint,
            )
        settings.location.write(JOB, identity.file())
    elif existing != identity:
        check_origins(existing.plugins, identity.plugins, settings.location.locate(JOB))
        hint = "give another --out, or the same settings as before ('synth job resume PLACE' uses those)"
        raise SynthError(
            "the location contains a job with other settings",
            code="settings-differ",
            where=str(settings.location),
            problems=existing.differing(identity),
            hint=hint,
        )
    settings.location.write(HOW, _json_bytes(_how_of(settings)))


def read_identity(location: StoragePath) -> JobIdentity | None:
    """Return the content of job.json; None if there is none. Raises SynthError if it is damaged."""
    try:
        data = location.read(JOB)
    except FileNotFoundError:
        return None
    return parse_model(JobIdentity, data, "job.json", location.locate(JOB))


def existing_identity(location: StoragePath) -> JobIdentity:
    """Return the content of job.json. Raises SynthError if there is none, or it is damaged."""
    identity = read_identity(location)
    if identity is None:
        hint = "give the location that was given to 'synth job run --out'"
        raise SynthError("no job here", code="job-missing", where=str(location), hint=hint)
    return identity


def read_settings(location: StoragePath, recipe_file: Path, plugins: Sequence[Path] = ()) -> JobSettings:
    """Return the settings of a job's last run, but with the usual cache; its recipe is written to `recipe_file`.

    plugins: Python files of its recipe and backend, whose code may be run; they are copied beside it. Raises SynthError
    if there is no job, its files are damaged, or a plugin differs.
    """
    identity = existing_identity(location)
    hint = "run the whole command again: 'synth job run LIST --out PLACE ...'"
    try:
        data = location.read(HOW)
        how = parse_model(HowFile, data, "how.json", location.locate(HOW), hint)
        recipe_file.write_text(identity.recipe, encoding="utf-8")
        trusted = trusted_files(identity.plugins, plugins)
        unpack_files({name: path.read_bytes() for name, path in trusted.items()}, recipe_file.parent)
        render = RunSettings(
            sku_list=sku_source(_paths_of(how.sku_list), _paths_of(how.mesh_roots)),
            out=Path(),
            scenes=0,
            recipe=str(recipe_file),
            splits=tuple(identity.splits),
            extras=tuple(identity.extras),
            keypoints=identity.keypoints,
            backdrops=BackdropFolders(**{name: _paths_of(getattr(how, name)) for name in FOLDERS}),
            streams=check_streams(identity.streams, location.locate(JOB)),
            cache=cache_folder(),
            **{name: getattr(identity, name) for name in RENDER_FIELDS},
            **{name: getattr(how, name) for name in HOW_FIELDS},
        )
        if is_python_file(identity.backend):  # there where it was given, and found nowhere else
            backend = file_place(f"backend {Path(identity.backend).name}", recipe_file.parent)
            render = replace(render, backend=str(backend))
        own = {name: getattr(how, name) for name in JOB_HOW_FIELDS}
        own |= {name: getattr(identity, name) for name in ("visible", "pixels", "shard_scenes")}
        return JobSettings(render, location, **own)
    except (FileNotFoundError, ValueError) as error:
        raise SynthError(
            "how.json is invalid", code="job-damaged", where=location.locate(HOW), found=str(error), hint=hint
        ) from error


def recorded_cache(location: StoragePath) -> Path:
    """Return the cache of a job's last run, as how.json says. Raises as `read_settings`."""
    return Path(parse_model(HowFile, location.read(HOW), "how.json", location.locate(HOW)).cache)


def _how_of(settings: JobSettings) -> dict[str, Any]:
    render = settings.render
    folders, lists = asdict(render.backdrops), as_lists(render.sku_list.resolve())
    return {
        "sku_list": _paths_text(lists.paths),
        # Absent in jobs of one list without other folders.
        **({"mesh_roots": _paths_text(lists.mesh_roots)} if lists.mesh_roots else {}),
        "cache": str(render.cache.resolve()),
        # Jobs without fixtures and planograms do not mention them.
        **{name: _paths_text(folders[name]) for name in FOLDERS if name not in NEWER_FOLDERS or folders[name]},
        **{name: getattr(render, name) for name in HOW_FIELDS},
        **{name: getattr(settings, name) for name in JOB_HOW_FIELDS},
    }


def _paths_text(paths: Sequence[Path]) -> str | list[str] | None:
    """Return paths as how.json stores them: one as text, as in the first job version, several as a list."""
    texts = [str(path.resolve()) for path in paths]
    return texts if len(texts) > 1 else texts[0] if texts else None


def _paths_of(value: Paths) -> tuple[Path, ...]:
    texts = value if isinstance(value, list) else [value] if value else []
    return tuple(Path(text) for text in texts)


def _json_bytes(value: dict[str, Any]) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False) + "\n").encode()
