"""The rules of the tree: who may import whom, in which order, and what must stay out of the way until it is needed."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.paths import ROOT

FOLDERS = ("assets", "dataset", "render", "detectors", "pipeline", "synth")
MAY_IMPORT = {
    "assets": {"assets"},
    "dataset": {"assets", "dataset"},
    "render": {"assets", "dataset", "render"},
    "detectors": {"assets", "dataset", "detectors"},
    "pipeline": {"assets", "dataset", "render", "detectors", "pipeline"},
    "synth": {"assets", "dataset", "render", "detectors", "pipeline", "synth"},
}
# Each folder that has sub-folders, with its files and sub-folders in the order in which they may import each other: an
# entry imports only what stands before it. Folders of files alone need no order: they have no circles.
ORDER = {
    "assets": (
        *("demo", "color", "error_codes", "errors", "console", "interrupt", "limits", "machine", "options", "plurals"),
        *("plugins", "progress", "notebook"),
        *("files", "pages", "catalog", "planogram", "mesh", "packages", "props", "backdrops", "fixtures", "library"),
    ),
    "assets/packages": ("packshots", "facts", "print", "shapes", "kinds", "build", "store"),
    "dataset": (
        *("problems", "values", "masks", "records", "categories", "images", "tables", "storage", "coco_writer"),
        *("shards", "checksums", "layout", "coco_reader", "review", "find", "spool"),
        *("shop", "coco_spool", "store", "chosen", "formats", "identity"),
    ),
    "dataset/formats": (
        *("remote", "files", "shapes", "outlines", "label_maps", "brush", "coco", "coco_keypoints", "cvat"),
        *("huggingface", "roboflow", "webdataset"),
        *("huggingface_parquet", "label_studio", "masks", "panoptic", "voc", "yolo", "yolo_segment", "bop"),
    ),
    "render": (
        *("optics", "marks", "scene", "geometry", "outline", "streams", "frame", "light_color", "framing", "sensor"),
        *("trace", "labels", "shop", "background", "coco", "choice", "layout", "placement", "recipes", "sample"),
        *("backends", "warp", "make_frame", "views"),
    ),
    "render/backends": ("protocol", "cycles", "raster"),
    "detectors": (
        *("device", "data", "augment", "models", "checkpoints", "evaluate", "training", "translate", "adapt"),
        *("predict", "export", "bench", "explain", "recognition"),
    ),
    "detectors/models": (
        *("spec", "interface", "region_proposals", "well_known", "backbones", "parts", "soft", "stages", "ignoring"),
        "torchvision_detector",
        *("one_stage", "darknet", "region_based", "transformer", "dense", "image_masks", "detect", "page"),
    ),
    "detectors/evaluate": (
        *("metrics", "report", "page", "print_report", "results", "settings"),
        *("shard_truth", "run_shards", "run"),
    ),
    "detectors/recognition": ("settings", "embedder", "gallery"),
    "pipeline": (
        *("workers", "run", "preview", "products", "planograms", "target", "gallery", "shards", "refine", "jobs"),
        *("verify", "stream", "gap", "tune", "experiments", "view", "doctor", "cli"),
        "__main__",
    ),
    "pipeline/refine": (
        *("settings", "photos", "edges", "light", "methods", "picture", "journal", "carry", "samples"),
        *("naming", "distances", "run", "report", "page"),
    ),
    "pipeline/jobs": (
        *("files", "lease", "receipts", "settings", "tasks", "scene", "shard", "engines", "planning", "index"),
        *("pilot", "run", "estimate", "status", "report"),
    ),
}
# Package -> the files that may import it.
CONFINED = {
    "bpy": "render/backends/cycles/",
    "mathutils": "render/backends/cycles/",
    "pyrender": "render/backends/raster/",
    "OpenGL": "render/backends/raster/",
    "torch": "detectors/",
    "torchvision": "detectors/",
    "ray": "pipeline/jobs/engines/ray_actors.py",
    "mujoco": "render/placement/physics.py",
}
HEAVY = {
    "bpy",
    "torch",
    "pyrender",
    "OpenGL",
    "trimesh",
    "pyarrow",
    "scipy",
    "cv2",
    "numpy",
    "PIL",
    "pycocotools",
    "pydantic",
}
MAX_FILES, MAX_LINES = 20, 400


@cache
def modules() -> dict[str, Path]:
    """Every module of the project by its dotted name."""
    found = {}
    for file in sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py")):
        parts = file.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def relative(file: Path) -> str:
    return file.relative_to(ROOT).as_posix()


@cache
def imports_of(file: Path) -> frozenset[str]:
    """Every module that a file names in an import, at its top or inside a function; those of ours to the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            module = node.module or ""
            below = {f"{module}.{alias.name}" for alias in node.names} & set(modules())
            names |= below or {module}
    return frozenset(names)


@cache
def named_in(file: Path) -> frozenset[str]:
    """The modules of ours that stand in the strings of a file: tables, commands for other processes."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for name in re.findall(rf"\b(?:{'|'.join(FOLDERS)})(?:\.\w+)+", node.value):
                names |= {name} & set(modules())
    return frozenset(names)


@pytest.mark.parametrize("file", modules().values(), ids=relative)
def test_nothing_imports_upwards_and_engines_stay_confined(file: Path) -> None:
    allowed = MAY_IMPORT[relative(file).split("/")[0]]
    for module in imports_of(file) | named_in(file):
        top = module.split(".")[0]
        if top in FOLDERS:
            assert top in allowed, f"{relative(file)} names {module}"
        if top in CONFINED:
            assert relative(file).startswith(CONFINED[top]), f"{relative(file)} imports {module}"


def folders() -> list[str]:
    return sorted({relative(file.parent) for file in modules().values()})


def test_every_folder_with_sub_folders_declares_its_order() -> None:
    above = {folder.rpartition("/")[0] for folder in folders()} - {""}
    assert above | {"render/backends"} >= set(ORDER) and set(ORDER) >= above


@pytest.mark.parametrize("folder", ORDER)
def test_entries_of_a_folder_import_only_what_stands_before_them(folder: str) -> None:
    def entry_of(file: Path) -> str | None:
        path = relative(file)
        if not path.startswith(f"{folder}/") or path == f"{folder}/__init__.py":
            return None
        return path.removeprefix(f"{folder}/").split("/")[0].removesuffix(".py")

    places = {name: place for place, name in enumerate(ORDER[folder])}
    for file in modules().values():
        entry = entry_of(file)
        if entry is None:
            continue
        assert entry in places, f"{relative(file)} has no place in the order of {folder}"
        for module in (imports_of(file) | named_in(file)) & set(modules()):
            other = entry_of(modules()[module])
            assert other is None or places[other] <= places[entry], f"{relative(file)} names {module}"
    assert {entry_of(file) for file in modules().values()} - {None} == set(places)


def test_no_files_import_each_other_in_a_circle() -> None:
    waiting = {name: imports_of(file) & set(modules()) - {name} for name, file in modules().items()}
    while free := [name for name, needs in waiting.items() if not needs & set(waiting)]:
        for name in free:
            del waiting[name]
    assert sorted(waiting) == []


@pytest.mark.parametrize(
    "folder", [*folders(), "benchmarks", "benchmarks/lectures", "benchmarks/scale", "benchmarks/twin"]
)
def test_folders_stay_small_and_files_do_not_repeat_their_names(folder: str) -> None:
    files = [file for file in (ROOT / folder).iterdir() if file.is_file()]
    assert len(files) <= MAX_FILES, f"{folder} has {len(files)} files of its own"
    repeated = [file.name for file in files if file.stem.startswith(folder.split("/")[-1].removesuffix("s"))]
    assert repeated == []


def test_folders_of_tests_stay_small() -> None:
    for folder in (path for path in (ROOT / "tests").rglob("*") if path.is_dir() and path.name != "__pycache__"):
        assert len([file for file in folder.iterdir() if file.is_file()]) <= MAX_FILES, folder


def test_files_stay_short() -> None:
    """Over 400 lines is a reason to split."""
    long = {relative(file): len(file.read_text().splitlines()) for file in modules().values()}
    assert {name: lines for name, lines in long.items() if lines > MAX_LINES} == {}


# What each module of a table calls its own options.
OF_TABLES = {"Options"}


def test_no_two_public_classes_share_a_name() -> None:
    defined: dict[str, list[str]] = {}
    for file in modules().values():
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                defined.setdefault(node.name, []).append(relative(file))
    assert {name: files for name, files in defined.items() if len(files) > 1 and name not in OF_TABLES} == {}


# An object with fields of any type, whoever reads it must know its names; `Mapping[str, Tensor]` says what it holds.
UNTYPED = re.compile(r"\b(?:dict|Mapping|MutableMapping)(?:\[str, (?:Any|object)\]|\b(?!\[))")
# Records are made from JSON objects and written as such, by these two alone.
OF_RECORDS = {"parse", "content"}


def signatures(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Each public function, method and field of a statement of a module, with its types."""
    if isinstance(node, ast.FunctionDef):
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        types = [one.annotation for one in arguments] + [node.returns]
        yield node.name, ", ".join(ast.unparse(one) for one in types if one is not None)
    elif isinstance(node, ast.AnnAssign):
        yield ast.unparse(node.target), ast.unparse(node.annotation)
    elif isinstance(node, ast.ClassDef):
        inner = [found for statement in node.body for found in signatures(statement)]
        yield from ((name, types) for name, types in inner if not name.startswith("_") or name == "__init__")


def test_no_dictionary_of_anything_crosses_the_border_of_a_folder() -> None:
    used = {
        (node.module, alias.name)
        for file in modules().values()
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and node.module in modules()
        for alias in node.names
        if modules()[node.module].parent != file.parent
    }
    found = [
        f"{module}.{node.name}: {name}: {types}"
        for module, file in modules().items()
        for node in ast.parse(file.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and (module, node.name) in used
        for name, types in signatures(node)
        if name not in OF_RECORDS and UNTYPED.search(types)
    ]
    assert found == []


def test_exceptions_of_the_linter_name_files_that_exist() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        lint = tomllib.load(file)["tool"]["ruff"]["lint"]
    for pattern in lint["per-file-ignores"]:
        assert list(ROOT.glob(pattern)), f"{pattern} matches no file"
    for package, entry in lint["flake8-tidy-imports"]["banned-api"].items():
        for path in re.findall(rf"(?:{'|'.join(FOLDERS)})/[\w/.]*", entry["msg"]):
            assert (ROOT / path).exists(), f"the message about {package} names {path}"


def test_tests_mirror_the_tree_and_import_no_other_test() -> None:
    for file in (ROOT / "tests").rglob("*.py"):
        path = file.relative_to(ROOT / "tests")
        for module in imports_of(file):
            assert not re.match(r"(tests\.)?(\w+\.)*(test_\w+|conftest)$", module), f"{path} imports {module}"
        if path.parts[0] in FOLDERS:
            assert (ROOT / path.parent).is_dir(), f"tests/{path} mirrors no folder"


def test_help_needs_nothing_heavy() -> None:
    """`synth --help` answers at once: no heavy module is loaded for it."""
    code = "import sys; from click.testing import CliRunner; from pipeline.cli.main import main\n"
    code += "result = CliRunner().invoke(main, ['--help']); assert result.exit_code == 0, result.output\n"
    code += f"print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_sampling_a_scene_needs_no_renderer() -> None:
    """Scenes and labels are made without Blender, OpenGL or torch."""
    code = "import sys, render.sample, render.labels, render.coco, render.recipes.tabletop, render.recipes.scatter\n"
    code += "print(sorted({'bpy', 'pyrender', 'OpenGL', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "[]", done.stderr
