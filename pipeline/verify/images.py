"""Images rendered again, by worker processes as those of `synth render`, and compared with the ones that are stored.

The same device and versions must give the same pixels. Others differ in noise and edges: they are held to a tolerance,
which no other scene's image meets, and which a change of a few pixels does (the checksums find that one).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assets.catalog.sku_lists import SkuSource
from assets.errors import SynthError
from assets.files.image_input import open_image
from assets.files.json_input import read_json
from assets.files.scratch import scratch_folder
from assets.limits import DATASET_JSON, IMAGE_BYTES, read_file
from dataset.layout import Layout, stem_of
from pipeline.jobs.files import JobIdentity
from pipeline.run.dataset_info import DatasetInfo
from pipeline.run.identity import RunIdentity, check_streams
from pipeline.run.settings import BackdropFolders, RunSettings
from pipeline.verify.records import Violation

# Of 255, over all pixels and channels; and the share of pixels of which a channel is further off than FAR.
# Measured on the demo list, 160x120: other samples and noise differ by up to 7.7 (raster) and 10.1 (cycles) on average,
# with 2.7 % of pixels far off; images of other scenes by 41 at least, with 64 %.
MAX_MEAN = 16.0
MAX_FAR_SHARE = 0.10
FAR = 40
# Samples of an image, in pixels times samples: a full HD image of the preset "best" has a sixteenth of it.
MAX_SAMPLES = 1 << 32
MAX_SAMPLES_PER_PIXEL = 65_536


@dataclass
class ImagesChecked:
    """Result of rendering again. scenes: sampled again; rendered: images that were compared; near: of these, those held
    to the tolerance alone."""

    found: list[Violation] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    scenes: int = 0
    rendered: int = 0
    near: int = 0

    def compare(self, stored: bytes, fresh: bytes, where: str, *, same: bool) -> None:
        """Add whether a stored image is the one that was rendered again. same: see `differences`."""
        self.rendered += 1
        if stored == fresh:
            return
        try:
            found = differences(_pixels(stored, where), _pixels(fresh, where), same=same)
        except (SynthError, OSError, ValueError):
            return  # reported where all images are read
        if found:
            self.found.append(Violation(where, f"differs from the image rendered again: {found}"))
        elif not same:
            self.near += 1

    def tell_near(self) -> None:
        """Add the number of images that were held to the tolerance alone to what was skipped."""
        if self.near:
            self.skipped.append(
                f"that images of other devices or versions are equal to the last bit ({self.near}): they agree to "
                f"at most {MAX_MEAN:g} of 255 on average, {MAX_FAR_SHARE:.0%} of pixels off by over {FAR}"
            )


@dataclass(frozen=True)
class ImageSources:
    """What the images are rendered from: as dataset.json or the user names it, checked to be the same as then.

    plugins: Python files by what uses them, as `trusted_files` has them.
    """

    sku_list: SkuSource
    backdrops: BackdropFolders
    cache: Path
    plugins: Mapping[str, Path] = field(default_factory=dict)

    @property
    def recipe_files(self) -> list[Path]:
        """The Python files that the recipe may name."""
        return [path for name, path in self.plugins.items() if name.startswith("recipe ")]


def check_images(
    layout: Layout, info: DatasetInfo, sources: ImageSources, indices: Sequence[int], *, stop: Callable[[], bool]
) -> ImagesChecked:
    """Render all views of the scenes again and compare the images."""
    checked = ImagesChecked()
    problems = rendering_problems(info.identity, sources.plugins)
    if problems:
        checked.found += [Violation("dataset.json", problem) for problem in problems]
        return checked
    if costly := too_costly(info.identity):
        checked.skipped.append(f"rendering images again: {costly}")
        return checked
    with scratch_folder("verify") as folder:
        made = Layout(Path(folder) / "set")
        for name in ("images", "scenes", "labels"):
            (made.root / name).mkdir(parents=True)
        recipe = Path(folder) / "recipe.yaml"
        recipe.write_text(info.recipe, encoding="utf-8")
        for path in sources.recipe_files:
            shutil.copy(path, folder)
        try:
            settings = _settings(info, sources, made.root, recipe, str(layout.info))
            for index, reason in render_again(settings, indices, stop):
                if reason:
                    checked.skipped.append(f"rendering the images of scene {index} again: {reason}")
                for view in range(settings.views) if not reason else ():
                    _compare(layout, made, stem_of(index, view), checked)
        except SynthError as error:
            words = " ".join(str(error).split())
            checked.skipped.append(f"rendering images again by {info.identity.backend}: {words}")
    checked.tell_near()
    return checked


def backend_of(identity: RunIdentity | JobIdentity, plugins: Mapping[str, Path]) -> str:
    """The backend that a data set names, by its path where it is a Python file that the user gave."""
    given = plugins.get(f"backend {identity.backend}")
    return identity.backend if given is None else str(given.resolve())


def render_again(settings: RunSettings, indices: Sequence[int], stop: Callable[[], bool]) -> Iterator[tuple[int, str]]:
    """Render scenes into the folder of the settings; each with the reason where it could not be made, else ""."""
    from pipeline.run.render import RENDERING
    from pipeline.workers.pool import run_scenes

    for outcome in run_scenes(RENDERING, settings, indices, stop=lambda _: stop()):
        yield outcome.index, outcome.reason


def rendering_problems(identity: RunIdentity | JobIdentity, plugins: Mapping[str, Path]) -> list[str]:
    """List what is wrong with the stated rendering settings of a data set, in words.

    plugins: the Python files that the user gave, as `trusted_files` has them.
    """
    from render.backends import backend_module, backend_names

    backend, preset, samples = identity.backend, identity.preset, identity.samples
    if backend not in backend_names() and f"backend {backend}" not in plugins:
        return [f"identity.backend is not one of {', '.join(sorted(backend_names()))}: {backend!r}"]
    problems, presets = [], backend_module(backend_of(identity, plugins)).INFO.presets
    if preset not in presets:
        problems.append(f"identity.preset is not one of {', '.join(presets)}: {preset!r}")
    if not 1 <= samples <= MAX_SAMPLES_PER_PIXEL:
        problems.append(f"identity.samples is not a number from 1 to {MAX_SAMPLES_PER_PIXEL}: {samples!r}")
    return problems


def too_costly(identity: RunIdentity | JobIdentity) -> str:
    """Return why the images of a data set take too long to render again, "" if they do not."""
    cost = identity.samples * identity.width * identity.height
    return f"{cost:,} samples an image, at most {MAX_SAMPLES:,}" if cost > MAX_SAMPLES else ""


def _settings(info: DatasetInfo, sources: ImageSources, out: Path, recipe: Path, where: str) -> RunSettings:
    identity = info.identity
    return RunSettings(
        sku_list=sources.sku_list,
        out=out,
        scenes=info.scenes,
        views=identity.views,
        width=identity.width,
        height=identity.height,
        seed=identity.seed,
        recipe=str(recipe),
        backend=backend_of(identity, sources.plugins),
        preset=identity.preset,
        samples=identity.samples,
        denoise=identity.denoise,
        backdrops=sources.backdrops,
        streams=check_streams(identity.streams, where),
        cache=sources.cache,
    )


def _compare(layout: Layout, made: Layout, stem: str, checked: ImagesChecked) -> None:
    try:
        if not layout.labels(stem).exists():
            return  # a scene that failed
        if read_file(layout.scene(stem), DATASET_JSON, "the scene") != made.scene(stem).read_bytes():
            return  # reported where scenes are sampled again
        stored = read_file(layout.image(stem), IMAGE_BYTES, "the image")
        labels = read_json(layout.labels(stem), DATASET_JSON, "the labels")
        renderer = labels["image"].get("renderer")
    except (SynthError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return  # reported where all files are read
    same = renderer == read_json(made.labels(stem), DATASET_JSON, "the labels")["image"]["renderer"]
    checked.compare(stored, made.image(stem).read_bytes(), f"images/{stem}.jpg", same=same)


def _pixels(data: bytes, where: str) -> NDArray[np.uint8]:
    with open_image(data, where, "the image") as image:
        return np.asarray(image.convert("RGB"))


def differences(stored: NDArray[np.uint8], fresh: NDArray[np.uint8], *, same: bool) -> str:
    """In what two (H, W, 3) images differ by more than they may, in words; "" where they agree.

    same: whether one device and the same versions have made them: then each pixel must be equal.
    """
    if stored.shape != fresh.shape:
        return f"{stored.shape[1]}x{stored.shape[0]} px, not {fresh.shape[1]}x{fresh.shape[0]}"
    off = np.abs(stored.astype(np.int16) - fresh)
    mean, share = float(off.mean()), float((off.max(axis=2) > FAR).mean())
    if (same and off.any()) or mean > MAX_MEAN or share > MAX_FAR_SHARE:
        kind = "the same device and versions made it" if same else "beyond the tolerance"
        return f"by {mean:.2f} of 255 on average, {share:.1%} of pixels by over {FAR} ({kind})"
    return ""
