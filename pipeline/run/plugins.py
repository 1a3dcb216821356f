"""Third-party code that scenes are made with: its origin, and its transfer to other processes.

Data sets and jobs record the digest of a Python file and the version of a package, but never run any code: whoever
verifies or resumes one gives the Python files again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from assets.errors import SynthError
from assets.files.atomic import write_atomic
from assets.plugins import digest_of, file_digest, is_python_file, short_name, source_of

if TYPE_CHECKING:
    from render.recipes.mix import Recipe

HINT = "give it again by --plugin FILE, once you trust it: its code is run"


def origins_of(recipe: Recipe, backend: str) -> dict[str, str]:
    """Return the digest or version of all code that is not the project's own, by its use ("recipe shelf.py")."""
    from render import backends, recipes

    modules = recipes.modules_of(recipe)
    used = {f"recipe {name}": recipes.TABLE.origin(name) for name in modules if not is_python_file(name)}
    files = {name: source_of(module) for name, module in modules.items() if is_python_file(name)}
    used |= {f"recipe {name}": f"sha256:{digest_of(source)}" for name, source in files.items()}
    used[f"backend {short_name(backend)}"] = backends.TABLE.origin(backend)
    return {name: origin for name, origin in used.items() if origin}


def check_origins(recorded: Mapping[str, str], current: Mapping[str, str], where: str) -> None:
    """Raise SynthError if code has changed since a data set or job recorded it."""
    problems = [
        f"{name}: was {recorded.get(name)}, now {current.get(name)}"
        for name in sorted({*recorded, *current})
        if recorded.get(name) != current.get(name)
    ]
    if problems:
        raise SynthError(
            "the code of a recipe or backend has changed",
            code="plugin-changed",
            where=where,
            problems=problems,
            hint="restore it to resume, or give another --out",
        )


def trusted_files(recorded: Mapping[str, str], given: Sequence[Path]) -> dict[str, Path]:
    """Return those of the given Python files that a data set was made with, by their use ("recipe shelf.py").

    Raises SynthError for a file that the data set was not made with.
    """
    trusted: dict[str, Path] = {}
    problems = []
    for path in given:
        digest = f"sha256:{file_digest(path)}"
        names = [f"{kind} {path.name}" for kind in ("recipe", "backend")]
        found = {name: path for name in names if recorded.get(name) == digest}
        if not found:
            said = [recorded[name] for name in names if name in recorded]
            problems.append(f"{path}: {digest}, recorded: {', '.join(said) or 'no file of that name'}")
        trusted |= found
    if problems:
        what = "a Python file differs from the one that this was made with"
        raise SynthError(what, code="plugin-changed", problems=problems, hint="give the original file")
    return trusted


def lacking(recorded: Mapping[str, str], trusted: Iterable[str]) -> str:
    """Return a message about missing code that a data set was made with; "" if all of it is here."""
    from render import backends, recipes

    for name, origin in recorded.items():
        kind, _, short = name.partition(" ")
        if is_python_file(short):
            if name not in trusted:
                return f"made with the Python file {short} ({origin[:20]}...); {HINT}"
        elif (recipes.TABLE if kind == "recipe" else backends.TABLE).origin(short) != origin:
            return f"made with the {name} of the package {origin}, which is not installed here"
    return ""


def unpack_files(files: Mapping[str, bytes], folder: Path) -> None:
    """Write Python files to their paths (`file_place`)."""
    for name, content in files.items():
        path = file_place(name, folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, content)


def file_place(name: str, folder: Path) -> Path:
    """Return a worker's path of "recipe shelf.py": beside the recipe's YAML; a backend has its own folder."""
    kind, _, short = name.partition(" ")
    return folder / short if kind == "recipe" else folder / kind / short


def files_of(recipe: Recipe, backend: str) -> dict[str, bytes]:
    """Return the content of the Python files among the code, by their use."""
    from render import recipes

    modules = recipes.modules_of(recipe)
    files = {f"recipe {name}": source_of(module) for name, module in modules.items() if is_python_file(name)}
    if is_python_file(backend):
        files[f"backend {short_name(backend)}"] = Path(backend).read_bytes()
    return files
