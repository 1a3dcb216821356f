"""Load initial weights from a file, torchvision or timm into a network, and report which tensors did not fit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from assets.errors import SynthError
from assets.files.models import check_model
from assets.plurals import first_few
from detectors.checkpoints.fields import ClassFields
from detectors.checkpoints.network_weights import bad_numbers
from detectors.checkpoints.pretrained import packaged_weights, timm_weights, torchvision_weights
from detectors.checkpoints.tensor_file import is_plain_tensor, read_safetensors, read_tensor_file
from detectors.data.image_set import Classes
from detectors.models import detector_module
from detectors.models.backbones.table import BACKBONES, timm_name
from detectors.models.spec import ModelSpec

# Values of --weights other than a file.
NONE, IMAGENET, COCO, PACKAGED = "none", "imagenet", "coco", "packaged"
# Keys under which files store their weights, unless they are a plain dictionary of tensors.
WRAPPERS = ("weights", "state_dict", "model", "ema", "model_state_dict", "net")
MAX_WRAPPERS = 4
FORMATS = "a file that torch.load(weights_only=True) reads, or .safetensors"
# If a smaller fraction of tensors fits, the names coincide by chance.
MIN_FIT = 0.1
MAX_LISTED = 4


@dataclass(frozen=True)
class LoadedWeights:
    """The outcome of loading weights. fitted: names of the network's tensors that were loaded."""

    source: str
    fitted: tuple[str, ...]
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    unused: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return lines of text on what was loaded and what was not."""
        total = len(self.fitted) + len(self.missing) + len(self.reshaped)
        lines = [f"weights from {self.source}: {len(self.fitted)} of {total} tensors of the network"]
        for what, names in (
            ("not in the file, randomly initialised", self.missing),
            ("of another shape or meaning, randomly initialised", self.reshaped),
            ("in the file but not used", self.unused),
        ):
            if names:
                lines.append(f"  {what}: {len(names)} ({_summary(names)})")
        return lines


def load_weights(model: nn.Module, spec: ModelSpec, classes: Classes, wanted: str) -> LoadedWeights | None:
    """Load weights into `model` in place; returns None if `wanted` is "none".

    wanted: "none", "imagenet" (backbone), "packaged" (backbone, from the extra "weights"), "coco" (all but the class
    layers) or a file. Raises SynthError if they are unavailable or do not fit.
    """
    if wanted == NONE:
        return None
    if wanted == IMAGENET:
        return fit_weights(model, *_imagenet(spec))
    if wanted == PACKAGED:
        return fit_weights(model, packaged_weights(spec.backbone), f"ImageNet, packaged ({spec.backbone})")
    if wanted == COCO:
        return fit_weights(model, _coco(spec), "COCO (torchvision)")
    state, owner = read_weights(Path(wanted))
    return fit_weights(model, state, Path(wanted).name, heads=owner is None or owner == classes)


def read_weights(path: Path) -> tuple[dict[str, Tensor], Classes | None]:
    """Read the tensors of a file, and the classes it was trained for if it is one of our checkpoints.

    Raises SynthError if the file is missing, too large, or contains no tensors.
    """
    if not path.exists():
        hint = f"give an existing file, or one of {NONE}, {IMAGENET}, {PACKAGED}, {COCO}"
        raise SynthError("no such weights file", code="file-missing", where=str(path), hint=hint)
    if path.suffix == ".safetensors":
        return read_safetensors(path, "the weights file"), None
    content = read_tensor_file(path, "the weights file", FORMATS)
    state = _unwrap(content)
    if not state:
        raise SynthError(
            "the file contains no weights", code="weights-empty", where=str(path), found=type(content).__name__
        )
    return state, _owner(content, str(path))


def _owner(content: Any, where: str) -> Classes | None:
    """Return the classes that one of our checkpoints was trained for; None for other files."""
    classes = content.get("classes") if isinstance(content, dict) and "spec" in content else None
    if not isinstance(classes, dict):
        return None
    fields = check_model(ClassFields, classes, "the classes of the checkpoint", where)
    return Classes(fields.keys, fields.names)


def _unwrap(content: Any) -> dict[str, Tensor]:
    """Find the dictionary of tensors inside a file's content, empty if there is none."""
    for _ in range(MAX_WRAPPERS):
        inner = [content.get(name) for name in WRAPPERS] if isinstance(content, Mapping) else []
        content = next((value for value in inner if isinstance(value, Mapping)), content)
    if not isinstance(content, Mapping):
        return {}
    return {name: value for name, value in content.items() if isinstance(name, str) and is_plain_tensor(value)}


def fit_weights(model: nn.Module, state: Mapping[str, Tensor], source: str, *, heads: bool = True) -> LoadedWeights:
    """Load tensors into the network, renamed by the change of prefix that makes most of them fit by name and shape.

    heads: whether to load class-dependent layers, too; only right if the classes are the same. Raises SynthError if
    almost nothing fits.
    """
    target = model.state_dict()
    renamed = _renamed(state, target)
    sized = class_sized(model)
    fitted: list[str] = []
    reshaped: list[str] = []
    for name in target:
        if name in renamed:
            fits = state[renamed[name]].shape == target[name].shape and (heads or name not in sized)
            (fitted if fits else reshaped).append(name)
    if len(fitted) < MIN_FIT * len(target):
        raise SynthError(
            "the weights do not fit the network",
            code="weights-mismatch",
            where=source,
            found=f"{len(fitted)} of {len(target)} tensors fit by name and shape; it starts with {_summary(state)}",
            expected=f"names such as {_summary(target)}",
            hint="the file must come from the same --detector or --backbone",
        )
    _check_finite({name: state[renamed[name]] for name in fitted}, source)
    model.load_state_dict({name: state[renamed[name]] for name in fitted}, strict=False)
    used = {renamed[name] for name in (*fitted, *reshaped)}
    missing = tuple(name for name in target if name not in renamed)
    return LoadedWeights(
        source, tuple(fitted), missing, tuple(reshaped), tuple(name for name in state if name not in used)
    )


def _check_finite(weights: Mapping[str, Tensor], source: str) -> None:
    """Raise SynthError for weights with NaN, infinite values or negative variances."""
    problems = [f"{name}: {problem}" for name, value in weights.items() if (problem := bad_numbers(name, value))]
    if problems:
        raise SynthError(
            "the weights are not finite numbers",
            code="weights-not-finite",
            where=source,
            problems=first_few(problems, MAX_LISTED),
        )


# Class layers of the detectors of the package transformers.
OF_QUERIES = ("class_labels_classifier", "class_embed", "enc_score_head")


def class_sized(model: nn.Module) -> frozenset[str]:
    """Return the names of the tensors with one row or more per class."""
    parts = ("cls_score", "cls_logits", "bbox_pred", "mask_fcn_logits", "classification_head.module_list", *OF_QUERIES)
    names = {name for name in model.state_dict() if any(part in name for part in parts)}
    return frozenset(name for name in names if "rpn" not in name)


def _renamed(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> dict[str, str]:
    """Return the name in `state` by the name in the network, by the change of prefix that makes most of them fit.

    Where more fit then, "." and "_" count as one: timm's stages of VGG and DenseNet join the names of nested layers.
    """
    choices = []
    for spell in (str, _dotted):
        ours, theirs = {spell(name): name for name in target}, {spell(name): name for name in state}
        if len(ours) < len(target) or len(theirs) < len(state):
            continue
        named = {name: state[theirs[name]] for name in theirs}
        wanted = {name: target[ours[name]] for name in ours}
        hits, strip, prefix = _best_prefix(named, wanted)
        pairs = ((prefix + name.removeprefix(strip), name) for name in theirs if name.startswith(strip))
        choices.append((hits, {ours.get(new, new): theirs[old] for new, old in pairs}))
    return max(choices, key=lambda choice: choice[0])[1]


def _dotted(name: str) -> str:
    return name.replace("_", ".")


def _best_prefix(state: Mapping[str, Tensor], target: Mapping[str, Tensor]) -> tuple[int, str, str]:
    """Return how many tensors fit, the prefix to strip from the names in `state`, and the prefix to add."""
    best = (0, "", "")
    for strip in _prefixes(state, 2):
        names = [(name.removeprefix(strip), value.shape) for name, value in state.items() if name.startswith(strip)]
        for prefix in _prefixes(target, 3):
            hits = sum(prefix + name in target and target[prefix + name].shape == shape for name, shape in names)
            best = max(best, (hits, strip, prefix), key=lambda found: found[0])
    return best


def _prefixes(names: Iterable[str], depth: int) -> list[str]:
    """Return "" and the 40 most common prefixes of dotted names up to a depth, each with its trailing dot."""
    counts: Counter[str] = Counter({"": 1 << 30})
    for name in names:
        parts = name.split(".")
        for length in range(1, min(depth, len(parts) - 1) + 1):
            counts[".".join(parts[:length]) + "."] += 1
    return [prefix for prefix, _ in counts.most_common(40)]


def _imagenet(spec: ModelSpec) -> tuple[dict[str, Tensor], str]:
    if spec.backbone is not None:
        return _backbone_weights(spec.backbone)
    name = _published(spec)[1]
    if name is None:
        hint = f"use --weights {COCO} or {NONE}, or a timm model with --backbone"
        raise SynthError(
            f"no ImageNet weights for {spec.detector}'s own backbone", code="weights-unavailable", hint=hint
        )
    state = torchvision_weights(name, spec.detector)
    return _under_own_names(
        state, getattr(detector_module(spec.detector), "RENAMED", {})
    ), f"ImageNet ({spec.detector})"


def _under_own_names(state: dict[str, Tensor], prefixes: Mapping[str, str]) -> dict[str, Tensor]:
    """Return tensors with the first prefix of their name that is listed replaced."""
    found = {name: next((prefix for prefix in prefixes if name.startswith(prefix)), "") for name in state}
    return {prefixes.get(prefix, "") + name.removeprefix(prefix): state[name] for name, prefix in found.items()}


def _backbone_weights(name: str) -> tuple[dict[str, Tensor], str]:
    known = BACKBONES.get(name)
    if known is None or known.source == "timm":
        state, source = timm_weights(timm_name(name))
        return state, f"{source} ({name})"
    if known.weights is None:
        hint = f"use --weights {NONE}, or a file of weights"
        raise SynthError(f"no pretrained weights are published for {name}", code="weights-unavailable", hint=hint)
    return torchvision_weights(known.weights, name), f"ImageNet ({name})"


def _coco(spec: ModelSpec) -> dict[str, Tensor]:
    name = _published(spec)[0]
    if spec.backbone is not None or name is None:
        hint = f"use --weights {IMAGENET}, or omit --backbone"
        raise SynthError(
            f"no COCO weights for {spec.detector} with {spec.backbone}", code="weights-unavailable", hint=hint
        )
    return torchvision_weights(name, spec.detector)


def _published(spec: ModelSpec) -> tuple[str | None, str | None]:
    """Return the names of torchvision's weight enums of a detector and of its backbone, None where there is none."""
    return getattr(detector_module(spec.detector), "TORCHVISION", (None, None))


def _summary(names: Iterable[str]) -> str:
    """Abbreviate a list of names to the first few distinct prefixes."""
    heads = list(dict.fromkeys(".".join(name.split(".")[:3]) for name in names))
    return ", ".join(heads[:MAX_LISTED]) + (", ..." if len(heads) > MAX_LISTED else "")
