"""The public Python API of synth. Each name is imported when it is first used: `import synth` loads nothing else."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from assets.catalog.load import load_catalog as load_catalog
    from assets.catalog.types import Catalog as Catalog
    from assets.catalog.types import Sku as Sku
    from assets.errors import SynthError as SynthError
    from assets.library import Library as Library
    from dataset.records import AnnotationRecord as AnnotationRecord
    from dataset.records import CategoryRecord as CategoryRecord
    from dataset.records import ImageLabels as ImageLabels
    from dataset.records import ImageRecord as ImageRecord
    from dataset.store import StoredImage as StoredImage
    from detectors.evaluate.report import Report as Report
    from render.frame import Annotation as Annotation
    from render.frame import Frame as Frame
    from render.recipes import load_recipe as load_recipe
    from render.scene import SceneSpec as SceneSpec
    from synth.data import DataSet as DataSet
    from synth.data import open_dataset as open_dataset
    from synth.data import read_categories as read_categories
    from synth.data import read_dataset as read_dataset
    from synth.learned import Detection as Detection
    from synth.learned import Recognition as Recognition
    from synth.learned import detect as detect
    from synth.learned import evaluate_detections as evaluate_detections
    from synth.learned import load_detector as load_detector
    from synth.learned import load_recognizer as load_recognizer
    from synth.learned import recognize as recognize
    from synth.scenes import Renderer as Renderer
    from synth.scenes import demo_catalog as demo_catalog
    from synth.scenes import open_library as open_library
    from synth.scenes import open_renderer as open_renderer
    from synth.scenes import plot_labels as plot_labels
    from synth.scenes import sample_scene as sample_scene

# Everything that users may import, by the module that defines it.
PUBLIC = {
    "assets.catalog.load": ("load_catalog",),
    "assets.catalog.types": ("Catalog", "Sku"),
    "assets.errors": ("SynthError",),
    "assets.library": ("Library",),
    "dataset.records": ("AnnotationRecord", "CategoryRecord", "ImageRecord", "ImageLabels"),
    "dataset.store": ("StoredImage",),
    "render.frame": ("Annotation", "Frame"),
    "render.recipes": ("load_recipe",),
    "render.scene": ("SceneSpec",),
    "detectors.evaluate.report": ("Report",),
    "synth.data": ("DataSet", "open_dataset", "read_categories", "read_dataset"),
    "synth.learned": (
        *("Detection", "Recognition", "detect", "evaluate_detections", "load_detector", "load_recognizer", "recognize"),
    ),
    "synth.scenes": ("Renderer", "demo_catalog", "open_library", "open_renderer", "plot_labels", "sample_scene"),
}
_MODULE_OF = {name: module for module, names in PUBLIC.items() for name in names}
__all__ = sorted(_MODULE_OF)
FOLDERS = ("assets", "dataset", "render", "detectors", "pipeline")


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'synth' has no attribute {name!r}; it has {', '.join(__all__)}")
    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


def _check_folders() -> None:
    """Raises ImportError where one of the project's folders is hidden by a module of the same name of the user's."""
    root = Path(__file__).resolve().parent.parent
    for name in FOLDERS:
        spec = find_spec(name)
        places = [] if spec is None else [spec.origin or "", *(spec.submodule_search_locations or ())]
        found = next((Path(place) for place in places if place), None)
        if found is None:
            raise ImportError(f"synth is installed without its folder {name!r}: install it again")
        folder = found.parent if found.name == "__init__.py" else found
        if folder.resolve() != root / name:
            raise ImportError(
                f"{folder} hides synth's own {root / name}: Python finds it first under the name {name!r}. "
                "Rename it, or start Python in another folder",
                name=name,
                path=str(folder),
            )


_check_folders()
