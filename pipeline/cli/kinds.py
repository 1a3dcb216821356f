"""Conversion of an option's text to a value, by the name in its description, else by the type of its field."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import click

from assets.options import Option
from pipeline.cli.choices import KnownName, RecipeChoice, recipe_of
from pipeline.cli.types import (
    HUGE,
    DataPath,
    Gigabytes,
    Listed,
    MixShares,
    NamedPath,
    Place,
    Range,
    Shares,
    Size,
    Workers,
)


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class OptionKind:
    """A kind of option. multiple: whether it is repeatable. finish: converts what click parsed to the value."""

    type: click.ParamType | None
    multiple: bool = False
    finish: Callable[[Any], Any] = _unchanged


def name_sources(sources: Sequence[tuple[str, Any]]) -> tuple[tuple[str, Any], ...]:
    """Return every data set with its own name: "synthetic" for the one that was given without."""
    names = [name or "synthetic" for name, _ in sources]
    if len(set(names)) != len(names):
        raise click.UsageError("several data sets need names, such as first=PATH second=PATH")
    return tuple((name, path) for name, (_, path) in zip(names, sources, strict=True))


KINDS = {
    "size": OptionKind(Size()),
    "splits": OptionKind(Shares()),
    "mix": OptionKind(MixShares(), finish=lambda shares: shares or ()),
    "workers": OptionKind(Workers()),
    "gigabytes": OptionKind(Gigabytes()),
    "data": OptionKind(DataPath()),
    "data_sets": OptionKind(DataPath(), multiple=True),
    "sources": OptionKind(NamedPath(), multiple=True, finish=name_sources),
    "place": OptionKind(Place()),
    "recipe": OptionKind(RecipeChoice(), multiple=True, finish=recipe_of),
    "label_format": OptionKind(KnownName("label format", "dataset.formats:FORMATS", free=True)),
    "recipe_name": OptionKind(KnownName("recipe", "render.recipes:TABLE", free=True)),
    "backend": OptionKind(KnownName("backend", "render.backends:TABLE", files=True)),
    "preset": OptionKind(KnownName("preset", names=("draft", "good", "best"))),
    "detector": OptionKind(
        KnownName("detector", "detectors.models:DETECTORS", files=True, error="detectors.models:detector_module")
    ),
    "detector_list": OptionKind(
        Listed(
            KnownName(
                "detector",
                "detectors.models:DETECTORS",
                names=("all",),
                files=True,
                error="detectors.models:check_name",
            ),
            "all|NAME,...",
        )
    ),
    "names": OptionKind(Listed(click.STRING, "NAME,...")),
    "sizes": OptionKind(Listed(Size(), "WIDTHxHEIGHT,...")),
    "counts": OptionKind(Listed(click.IntRange(1, HUGE), "N,...")),
    "augment": OptionKind(KnownName("augmentation", "detectors.augment.settings:PRESETS")),
    "schedule": OptionKind(KnownName("schedule", "detectors.training.schedule:SCHEDULES", without=("adapt",))),
    "method": OptionKind(
        KnownName("adaptation method", "detectors.adapt:METHODS", error="detectors.adapt:method_module")
    ),
    "refine_method": OptionKind(KnownName("refinement method", "pipeline.refine.methods:METHODS", free=True)),
    "range": OptionKind(Range()),
    "exporter": OptionKind(
        KnownName("export format", "detectors.export:TABLE", files=True, error="detectors.export:exporter_module")
    ),
    "weights": OptionKind(KnownName("weights", names=("imagenet", "packaged", "coco", "none"), free=True)),
    "embedder_weights": OptionKind(KnownName("weights", names=("imagenet", "packaged", "none"), free=True)),
    "feature_weights": OptionKind(KnownName("weights", names=("packaged", "none"), free=True)),
    "loss": OptionKind(KnownName("loss", "detectors.recognition.embedder.losses:LOSSES")),
    "index": OptionKind(KnownName("index", "detectors.recognition.gallery.index:INDEXES")),
    "engine": OptionKind(KnownName("engine", "pipeline.jobs.engines:ENGINES")),
}


def kind_of(annotation: Any, option: Option) -> OptionKind:
    """Return the kind of an option. Raises TypeError for a field that cannot become an option."""
    if option.parse:
        return KINDS[option.parse]
    plain = without_none(annotation)
    if get_origin(plain) is tuple:
        return replace(kind_of(get_args(plain)[0], option), multiple=True)
    if get_origin(plain) is Literal:
        return OptionKind(click.Choice(get_args(plain)))
    if plain is bool:
        return OptionKind(None)
    if plain in (int, float):
        return OptionKind(_number(plain, option))
    if plain is Path:
        return OptionKind(_path(option.exists))
    if plain is str:
        return OptionKind(click.STRING)
    raise TypeError(f"no option can be made of {annotation}: give its description a parse")


def without_none(annotation: Any) -> Any:
    """Return X for the annotation `X | None`; any other annotation unchanged."""
    if get_origin(annotation) in (Union, UnionType):
        others = [one for one in get_args(annotation) if one is not type(None)]
        if len(others) == 1:
            return others[0]
    return annotation


def _number(kind: type, option: Option) -> click.ParamType:
    minimum = option.above if option.above is not None else option.minimum
    if minimum is None and option.maximum is None:
        return click.INT if kind is int else click.FLOAT
    if kind is float:
        return click.FloatRange(minimum, option.maximum, min_open=option.above is not None)
    low, high = (None if bound is None else int(bound) for bound in (minimum, option.maximum))
    return click.IntRange(low, high, min_open=option.above is not None)


def _path(exists: str) -> click.Path[Any]:
    return click.Path(exists=bool(exists), file_okay=exists != "folder", dir_okay=exists != "file", path_type=Path)
