"""The folder rules of the design: who may import whom, and what must stay out of the way until it is needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from support.paths import ROOT

FOLDERS = ("assets", "render", "pipeline", "detectors")
MAY_IMPORT = {
    "assets": {"assets"},
    "render": {"assets", "render"},
    "pipeline": {"assets", "render", "pipeline", "detectors"},
    "detectors": {"assets", "detectors"},
}
# Package -> the files that may import it.
CONFINED = {
    "bpy": "render/backends/cycles",
    "mathutils": "render/backends/cycles",
    "pyrender": "render/backends/raster",
    "OpenGL": "render/backends/raster",
    "torch": "detectors/",
    "torchvision": "detectors/",
    "ray": "pipeline/jobs/engines/ray_actors.py",
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


def files() -> list[Path]:
    return sorted(file for folder in FOLDERS for file in (ROOT / folder).rglob("*.py"))


def imports_of(file: Path) -> set[str]:
    """Every module that a file names in an import, at its top or inside a function."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: relative import"
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("file", files(), ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_imports_upwards_and_engines_stay_confined(file: Path) -> None:
    relative = file.relative_to(ROOT).as_posix()
    allowed = MAY_IMPORT[relative.split("/")[0]]
    for module in imports_of(file):
        top = module.split(".")[0]
        if top in FOLDERS:
            assert top in allowed, f"{relative} imports {module}"
        if top in CONFINED:
            assert relative.startswith(CONFINED[top]), f"{relative} imports {module}"


def test_help_needs_nothing_heavy() -> None:
    """`synth --help` answers at once: no heavy module is loaded for it."""
    code = "import sys; from click.testing import CliRunner; from pipeline.cli.main import main\n"
    code += "result = CliRunner().invoke(main, ['--help']); assert result.exit_code == 0, result.output\n"
    code += f"print(sorted({HEAVY!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_drawing_a_scene_needs_no_renderer() -> None:
    """Scenes and labels are made without Blender, OpenGL or torch."""
    code = "import sys, render.sample, render.labels, render.coco, render.recipes.tabletop, render.recipes.scatter\n"
    code += "print(sorted({'bpy', 'pyrender', 'OpenGL', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_files_stay_short() -> None:
    """Over 400 lines is a reason to split."""
    long = {str(file.relative_to(ROOT)): len(file.read_text().splitlines()) for file in files()}
    assert {name: lines for name, lines in long.items() if lines > 400} == {}
