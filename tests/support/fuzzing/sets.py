"""Data sets of strangers: one of the files of a good set broken, or something else in its place."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st

from assets.errors import SynthError
from pipeline.preview.draw import preview_set
from pipeline.preview.types import PreviewSettings
from pipeline.verify.report import MAX_VIOLATIONS
from support.fuzzing.files import ODD, Files, Sandbox, broken, changed_json, changed_words, nothing_written
from support.verified import verified

# What stands in a file's place, by the content that says so.
PIPE, LINK_TO_ZERO, LINK_OUTSIDE, FOLDER, NOTHING = (b"<%s>" % word for word in (b"pipe", b"zero", b"out", b"dir", b""))
STAND_INS = (PIPE, LINK_TO_ZERO, LINK_OUTSIDE, FOLDER, NOTHING)
# Run lengths: long, endless, past the end of the image, past 32 bits.
RUNS = st.sampled_from(["o" * 5000, "Z" * 5000, "ooooooo0", "PPPPPP0", "0" * 1200, "`" * 9 + "1", "", "\0", "é"])
ODD_LABELS = ODD | RUNS | st.builds(lambda size, counts: {"size": size, "counts": counts}, ODD, RUNS)


def changed_labels(data: bytes) -> st.SearchStrategy[bytes]:
    return changed_json(data, ODD_LABELS)


def damages(good: Path) -> st.SearchStrategy[Files]:
    """One or two files of the set in `good` with other contents, by their names."""
    names = sorted(str(file.relative_to(good)) for file in good.rglob("*") if file.is_file() and file.suffix != ".lock")
    kinds: dict[str, list[str]] = {}
    for name in names:
        if not name.endswith(".lock"):
            kinds.setdefault(name.partition("/")[0], []).append(name)

    def other(name: str) -> st.SearchStrategy[tuple[str, bytes]]:
        data = (good / name).read_bytes()
        ways = (changed_labels, changed_words) if name.endswith(".json") else (changed_words,)
        # Values first: bytes changed at random mostly end the JSON.
        contents = changed_labels(data) if name.endswith(".json") else broken(data)
        return st.tuples(st.just(name), st.one_of(contents, contents, broken(data, *ways), st.sampled_from(STAND_INS)))

    one = st.sampled_from(sorted(kinds)).flatmap(lambda kind: st.sampled_from(kinds[kind][:3]).flatmap(other))
    return st.lists(one, min_size=1, max_size=2).map(dict)


def lay_damage(box: Sandbox, good: Path, files: Files) -> Path:
    """A copy of the good set with the files changed."""
    folder = box.inside / "set"
    shutil.copytree(good, folder)
    (box.inside / "secret").write_bytes(b"{}")
    for name, data in files.items():
        path = folder / name
        path.unlink()
        if data == PIPE:
            os.mkfifo(path)
        elif data == LINK_TO_ZERO:
            path.symlink_to("/dev/zero")
        elif data == LINK_OUTSIDE:
            path.symlink_to(box.inside / "secret")
        elif data == FOLDER:
            path.mkdir()
        elif data != NOTHING:
            path.write_bytes(data)
    return folder


def check_set_is_verified(files: Files, box: Sandbox, good: Path, cache: Path, *, sample: int = 0) -> None:
    """Verify ends with a bounded report whatever the set holds, preview with an image or an error."""
    folder = lay_damage(box, good, files)
    with nothing_written(box):
        with suppress(SynthError):
            report = verified(folder, sample=sample, cache=cache)
            assert len(report.violations) <= MAX_VIOLATIONS
            assert all(len(str(item)) < 10_000 and str(item).encode() for item in report.violations)
        for shop in (False, True):
            with suppress(SynthError):
                preview_set(str(folder), box.out / "preview.png", PreviewSettings(count=1, shop=shop))
