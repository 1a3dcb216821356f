"""Command-line options generated from settings types, and settings built from the given values."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass, replace
from types import SimpleNamespace
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import click

from assets.catalog.sku_lists import SkuSource, sku_source
from assets.options import FIELD, Option
from pipeline.cli.kinds import kind_of, without_none
from pipeline.cli.types import EXISTING_FILE, EXISTING_FOLDER, shown_default, shown_range

Given = Mapping[str, Any]
NUMBERS: Mapping[type, str] = {click.IntRange: "INTEGER", click.FloatRange: "NUMBER"}
SkuList = Annotated[SkuSource, Option("SKU list.", "Data", parse="sku_list")]


@dataclass(frozen=True)
class Use:
    """Settings whose described fields become options of a command; nested fields are named "render.seed".

    target: "package.module:Type", imported when the command's options are needed. only, without: which fields become
    options. fixed: values of fields that do not. changes: by field, changes of its description for this command.
    partial: the command gets a mapping by field instead of the value. unset: options have no defaults, and the command
    gets a (nested) mapping of those that were given.
    """

    target: str
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    fixed: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    partial: bool = False
    unset: bool = False

    def wants(self, path: str) -> bool:
        """Return whether the field at a path becomes an option."""
        names = {path, path.partition(".")[0]}
        return not names & set(self.without) and (not self.only or bool(names & set(self.only)))


class SettingOption(click.Option):
    """An option made from a description. source: its field, if any. group: its panel. old: its former names."""

    def __init__(self, *words: Any, source: str, option: Option, **attributes: Any) -> None:
        super().__init__(*words, **{"show_default": True, **attributes})
        self.source, self.group, self.old, self._shown = source, option.group, option.old, option.shown

    def get_help_extra(self, ctx: click.Context) -> Any:
        """Return the default as it would be typed, and the range in words."""
        extra = super().get_help_extra(ctx)
        text = self._shown or ("default" in extra and not self.is_flag and shown_default(self.default, self.type))
        if text:
            extra["default"] = text
        elif not self.is_flag:
            extra.pop("default", None)
        if isinstance(self.type, click.IntRange | click.FloatRange):
            extra["range"] = shown_range(self.type)
        return extra


@dataclass(frozen=True)
class Binding:
    """Options, and a function from their given values to the values of the fields that they fill."""

    params: tuple[click.Parameter, ...]
    values: Callable[[Given], Mapping[str, Any]]


@dataclass(frozen=True)
class _Target:
    """A described field or parameter. name: its name. dest: key of its given value. source: its field."""

    name: str
    dest: str
    source: str
    annotation: Any
    default: Any


def bind_command(callback: Callable[..., Any], uses: Mapping[str, Use], declared: Collection[str] = ()) -> Binding:
    """Return the options of a command: its settings and its own parameters (positional ones before a `*`).

    declared: parameters that click's own decorators define.
    """
    parameters = inspect.signature(callback).parameters
    own = {name: parameter.annotation for name, parameter in parameters.items() if name not in {*uses, *declared}}
    module = getattr(callback, "__globals__", {})
    hints = get_type_hints(SimpleNamespace(__annotations__=own), module, include_extras=True)
    return _joined(
        [
            _bind_use(name, uses[name]) if name in uses else _bind_parameter(parameters[name], hints[name])
            for name in parameters
            if name in uses or name in hints
        ]
    )


def _bind_parameter(parameter: inspect.Parameter, hint: Any) -> Binding:
    default = MISSING if parameter.default is parameter.empty else parameter.default
    kind, option = _described(hint) or (hint, Option(""))
    positional = parameter.kind is not parameter.KEYWORD_ONLY
    target = _Target(parameter.name, parameter.name, "", kind, default)
    return _bind_option(target, replace(option, argument=positional), unset=False)


def _bind_use(name: str, use: Use) -> Binding:
    module, _, kind = use.target.partition(":")
    settings = _bind_settings(getattr(importlib.import_module(module), kind), use, "", name)
    return Binding(settings.params, lambda given: {name: settings.values(given)[""]})


def _bind_settings(kind: Any, use: Use, path: str, dest: str) -> Binding:
    """Return the options of a settings type; their values hold the settings under the last name of the path."""
    joined = _joined(list(_bind_fields(kind, use, path, dest)))

    def values(given: Given) -> Mapping[str, Any]:
        made = joined.values(given)
        return {path.rpartition(".")[2]: made if use.unset or (use.partial and not path) else kind(**made)}

    return Binding(joined.params, values)


def _bind_fields(kind: Any, use: Use, path: str, dest: str) -> Iterator[Binding]:
    hints = get_type_hints(kind, include_extras=True)
    for entry in fields(kind):
        inner = f"{path}.{entry.name}" if path else entry.name
        source = f"{kind.__module__}:{kind.__name__}.{entry.name}"
        target = _Target(entry.name, f"{dest}__{entry.name}", source, hints[entry.name], _default_of(entry))
        if inner in use.fixed:
            yield Binding((), lambda given, name=entry.name, value=use.fixed[inner]: {name: value})  # type: ignore[misc]
        elif described := _described(hints[entry.name]):
            if use.wants(inner):
                option = replace(described[1], **use.changes.get(inner, {}))
                defaults = {other.name: _default_of(other) for other in fields(kind)}
                yield _bind_option(replace(target, annotation=described[0]), option, unset=use.unset, siblings=defaults)
        elif is_dataclass(hints[entry.name]):
            nested = _bind_settings(hints[entry.name], use, inner, target.dest)
            if nested.params:
                yield nested


def _default_of(entry: Field[Any]) -> Any:
    return entry.default if entry.default_factory is MISSING else entry.default_factory()


def _described(hint: Any) -> tuple[Any, Option] | None:
    """Return the type and the description of an annotated field, if it has one."""
    if get_origin(hint) is Annotated:
        kind, *notes = get_args(hint)
        found = [note for note in notes if isinstance(note, Option)]
        if found:
            return kind, found[-1]
    return None


def _joined(bindings: list[Binding]) -> Binding:
    params = [param for binding in bindings for param in binding.params]
    params.sort(key=lambda param: not isinstance(param, click.Argument))
    return Binding(
        tuple(params), lambda given: {k: v for binding in bindings for k, v in binding.values(given).items()}
    )


def _bind_option(target: _Target, option: Option, *, unset: bool, siblings: Given | None = None) -> Binding:
    if option.parse == "sku_list":
        return _bind_sku_list(target, option)
    if option.flags:
        return _bind_flags(target, option)
    if option.fields:
        target = replace(target, default=tuple((siblings or {})[name] for name in option.fields))
    kind, default = kind_of(target.annotation, option), target.default if option.default is FIELD else option.default
    param = (
        _argument(target, option, kind, default) if option.argument else _option(target, option, kind, default, unset)
    )

    def values(given: Given) -> Mapping[str, Any]:
        value = given[target.dest]
        if unset and (value is None or value == ()):
            return {}
        value = kind.finish(value)
        return dict(zip(option.fields, value, strict=True)) if option.fields else {target.name: value}

    return Binding((param,), values)


def _argument(target: _Target, option: Option, kind: Any, default: Any) -> click.Argument:
    many = kind.multiple
    return click.Argument(
        [target.dest],
        type=kind.type,
        nargs=-1 if many else 1,
        required=default is MISSING,
        **({} if many or default is MISSING else {"default": default}),
        metavar=option.metavar or target.name.upper() + ("..." if many else ""),
    )


def _option(target: _Target, option: Option, kind: Any, default: Any, unset: bool) -> SettingOption:
    name = option.name or "--" + target.name.replace("_", "-")
    required = default is MISSING and not unset
    if required or unset:
        default, option = None, replace(option, shown="")
    flag = without_none(target.annotation) is bool and kind.type is None
    if flag and (default is not False):
        name = f"{name}/--no-{name[2:]}"
    elif kind.multiple and not unset:
        default = default if isinstance(default, tuple) else () if default is None else (default,)
    return SettingOption(
        [name, target.dest],
        source=target.source,
        option=option,
        type=kind.type,
        is_flag=flag or None,
        multiple=kind.multiple,
        required=required,
        # click treats a default of None as a default.
        **({} if required else {"default": default}),
        metavar=option.metavar or NUMBERS.get(type(kind.type)),
        help=option.help,
    )


def _bind_flags(target: _Target, option: Option) -> Binding:
    """Bind a tuple of names, with one flag per name."""
    params = tuple(
        SettingOption(
            [f"--{name}", f"{target.dest}__{name}"], source=target.source, option=option, is_flag=True, help=text
        )
        for name, text in option.flags
    )
    names = [name for name, _ in option.flags]
    return Binding(params, lambda given: {target.name: tuple(n for n in names if given[f"{target.dest}__{n}"])})


def _bind_sku_list(target: _Target, option: Option) -> Binding:
    """Bind merged SKU lists with the folders of their meshes; if required as an option, also the demo's list."""
    lists, roots, demo = (f"{target.dest}__{name}" for name in ("lists", "roots", "demo"))
    needed = target.default is MISSING and option.default is FIELD
    made: dict[str, Any] = {"source": target.source, "option": option}
    params: list[click.Parameter] = []
    if option.argument:
        words = "SKU_LIST..." if needed else "[SKU_LIST...]"
        params.append(click.Argument([lists], type=EXISTING_FILE, nargs=-1, required=needed, metavar=words))
    else:
        words = f"{option.help} Repeatable: lists are merged."
        params.append(SettingOption(["--sku-list", lists], type=EXISTING_FILE, multiple=True, help=words, **made))
    words = "Another folder of its meshes and packshots, outside the list's own. Repeatable."
    params.append(SettingOption(["--mesh-root", roots], type=EXISTING_FOLDER, multiple=True, help=words, **made))
    if needed and not option.argument:
        params.append(SettingOption(["--demo", demo], is_flag=True, help="Use the built-in demo catalogue.", **made))

    def values(given: Given) -> Mapping[str, Any]:
        source = _one_source(given[lists], given[roots], given.get(demo))
        return {target.name: source}

    return Binding(tuple(params), values)


def _one_source(lists: Any, roots: Any, demo: bool | None) -> Any:
    """Return the lists as one source. demo: None for commands without that option."""
    if lists and demo:
        raise click.UsageError("--demo has its own list: give either --demo or --sku-list")
    if roots and not lists:
        raise click.UsageError("--mesh-root needs a SKU list")
    if lists:
        return sku_source(lists, roots)
    if demo:
        from assets.demo import demo_list

        return demo_list()
    if demo is not None:
        raise click.UsageError("give --sku-list FILE, or --demo to try the demo catalogue")
    return None
