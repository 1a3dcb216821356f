"""How the text of an option becomes a value: by the name in its description, else by the type of its field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click

from assets.options import Option
from pipeline.cli.choices import Known, RecipeChoice, recipe_of
from pipeline.cli.types import DataPath, Gigabytes, MixShares, NamedPath, Place, Shares, Size, Workers


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Kind:
    """A kind of option. multiple: whether it is repeatable. finish: from what click reads to the value."""

    type: click.ParamType | None
    multiple: bool = False
    finish: Callable[[Any], Any] = _unchanged


def name_sources(sources: Sequence[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Every data set with a name of its own: "synthetic" for the one that was given without."""
    names = [name or "synthetic" for name, _ in sources]
    if len(set(names)) != len(names):
        raise click.UsageError("several data sets need names, such as first=PATH second=PATH")
    return tuple((name, path) for name, (_, path) in zip(names, sources, strict=True))


KINDS = {
    "size": Kind(Size()),
    "splits": Kind(Shares()),
    "mix": Kind(MixShares(), finish=lambda shares: shares or ()),
    "workers": Kind(Workers()),
    "gigabytes": Kind(Gigabytes()),
    "data": Kind(DataPath()),
    "data_sets": Kind(DataPath(), multiple=True),
    "sources": Kind(NamedPath(), multiple=True, finish=name_sources),
    "place": Kind(Place()),
    "recipe": Kind(RecipeChoice(), multiple=True, finish=recipe_of),
    "label_format": Kind(Known("label format", "dataset.formats:FORMATS", free=True)),
    "recipe_name": Kind(Known("recipe", "render.recipes:TABLE", free=True)),
    "backend": Kind(Known("backend", "render.backends:TABLE", files=True)),
    "preset": Kind(Known("preset", names=("draft", "good", "best"))),
    "detector": Kind(Known("detector", "detectors.models:DETECTORS", error="detectors.models:detector_module")),
    "augment": Kind(Known("augmentation", "detectors.augment.settings:PRESETS")),
    "schedule": Kind(Known("schedule", "detectors.training.schedule:SCHEDULES", without=("adapt",))),
    "method": Kind(Known("adaptation method", "detectors.adapt:METHODS", error="detectors.adapt:method_module")),
    "weights": Kind(Known("weights", names=("imagenet", "packaged", "coco", "none"), free=True)),
    "embedder_weights": Kind(Known("weights", names=("imagenet", "packaged", "none"), free=True)),
    "loss": Kind(Known("loss", "detectors.recognition.embedder.losses:LOSSES")),
    "index": Kind(Known("index", "detectors.recognition.gallery.index:INDEXES")),
    "engine": Kind(Known("engine", "pipeline.jobs.engines:ENGINES")),
}


def kind_of(annotation: Any, option: Option) -> Kind:
    """The kind of an option. Raises TypeError for a field that no option can be made of."""
    if option.parse:
        return KINDS[option.parse]
    plain = without_none(annotation)
    if get_origin(plain) is tuple:
        return replace(kind_of(get_args(plain)[0], option), multiple=True)
    if get_origin(plain) is Literal:
        return Kind(click.Choice(get_args(plain)))
    if plain is bool:
        return Kind(None)
    if plain in (int, float):
        return Kind(_number(plain, option))
    if plain is Path:
        return Kind(_path(option.exists))
    if plain is str:
        return Kind(click.STRING)
    raise TypeError(f"no option can be made of {annotation}: give its description a parse")


def without_none(annotation: Any) -> Any:
    """The annotation X of `X | None`; any other as it is."""
    if get_origin(annotation) in (Union, UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) == 1:
            return others[0]
    return annotation


def _number(kind: type, option: Option) -> click.ParamType:
    least = option.above if option.above is not None else option.minimum
    if least is None and option.maximum is None:
        return click.INT if kind is int else click.FLOAT
    if kind is float:
        return click.FloatRange(least, option.maximum, min_open=option.above is not None)
    low, high = (None if bound is None else int(bound) for bound in (least, option.maximum))
    return click.IntRange(low, high, min_open=option.above is not None)


def _path(exists: str) -> click.Path[Any]:
    return click.Path(exists=bool(exists), file_okay=exists != "folder", dir_okay=exists != "file", path_type=Path)
