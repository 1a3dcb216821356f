"""The kinds of input that are fuzzed: how to draw one, and what must hold for it."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis.strategies import SearchStrategy

from support.fuzzing.backdrops import check_image_is_shown_or_told, images
from support.fuzzing.files import Files, Sandbox
from support.fuzzing.lists import check_list_by_command, check_list_is_read_or_told, lists
from support.fuzzing.meshes import check_mesh_is_read_or_told, meshes
from support.fuzzing.own_files import check_own_file_is_read_or_told, own_files
from support.fuzzing.planograms import check_planogram_is_read_or_told, planograms
from support.fuzzing.recipes import check_recipe_by_command, check_recipe_is_read_or_told, recipes
from support.fuzzing.shards import (
    check_coco_is_streamed_or_told,
    check_photograph_is_read_or_told,
    check_shards_are_read_or_told,
    coco_files,
    photographs,
    shards,
)

Check = Callable[[Files, Sandbox], None]
KINDS: dict[str, tuple[Callable[[], SearchStrategy[Files]], Check]] = {
    "list": (lists, check_list_is_read_or_told),
    "list-command": (lists, check_list_by_command),
    "mesh": (meshes, check_mesh_is_read_or_told),
    "recipe": (recipes, check_recipe_is_read_or_told),
    "recipe-command": (recipes, check_recipe_by_command),
    "picture": (images, check_image_is_shown_or_told),
    "photograph": (photographs, check_photograph_is_read_or_told),
    "shards": (shards, check_shards_are_read_or_told),
    "planogram": (planograms, check_planogram_is_read_or_told),
    "own-file": (own_files, check_own_file_is_read_or_told),
    "coco": (coco_files, check_coco_is_streamed_or_told),
}
