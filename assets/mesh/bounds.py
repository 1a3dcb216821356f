"""What a mesh file would unfold to, found before it is read: archives that unpack to gigabytes, parts placed too often.

A page of XML can place a part 2^30 times: 30 groups, each of which holds the next one twice.
"""

from __future__ import annotations

import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import networkx

from assets.errors import SynthError
from assets.limits import MESH_NODES, MESH_UNPACKED

# "" stands for the scene itself: what is placed hangs on it.
Edges = Iterator[tuple[str, str]]
XML = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


def check_bounds(path: Path) -> None:
    """Raises SynthError where a 3MF or COLLADA file unpacks or repeats beyond the limits, or holds itself."""
    kind = path.suffix.lower()
    if kind == ".3mf":
        with zipfile.ZipFile(path) as archive:
            MESH_UNPACKED.check(sum(entry.file_size for entry in archive.infolist()), str(path))
            _check_repeats((edge for file in _models(archive) for edge in _edges_of_3mf(file)), path)
    elif kind == ".dae":
        with path.open("rb") as file:
            _check_repeats(_edges_of_collada(file), path)


def _models(archive: zipfile.ZipFile) -> Iterator[IO[bytes]]:
    for entry in archive.infolist():
        if entry.filename.lower().endswith(".model"):
            with archive.open(entry) as file:
                yield file


def _edges_of_3mf(file: IO[bytes]) -> Edges:
    """(holder, held) for each component of an object and each item that is built."""
    from lxml import etree

    for _, element in etree.iterparse(file, tag=("{*}object", "{*}item"), events=("end",), **XML):
        if element.tag.endswith("item"):
            yield "", element.get("objectid", "")
        else:
            yield from ((element.get("id", ""), part.get("objectid", "")) for part in element.iter("{*}component"))
        element.clear()


def _edges_of_collada(file: IO[bytes]) -> Edges:
    """(holder, held) for each node inside another and each instance of one; what a visual scene holds is placed."""
    from lxml import etree

    tags = ("{*}visual_scene", "{*}node", "{*}instance_node", "{*}instance_geometry")
    inside: list[str] = []
    for number, (event, element) in enumerate(etree.iterparse(file, tag=tags, events=("start", "end"), **XML)):
        kind = etree.QName(element).localname
        if event == "end":
            if kind in ("visual_scene", "node"):
                inside.pop()
            continue
        name = f"#{element.get('id') or number}"
        if kind == "visual_scene":
            yield "", name
        elif inside:
            yield inside[-1], element.get("url", "") if kind == "instance_node" else name
        if kind in ("visual_scene", "node"):
            inside.append(name)


def _check_repeats(edges: Edges, path: Path) -> None:
    """Raises SynthError where more parts are placed than the limit, counted without placing them, or without end."""
    held: dict[str, Counter[str]] = defaultdict(Counter)
    for holder, part in edges:
        held[holder][part] += 1
    graph = networkx.DiGraph([(holder, part) for holder, parts in held.items() for part in parts])
    if not networkx.is_directed_acyclic_graph(graph):
        raise SynthError(
            "a part of the mesh file contains itself", code="mesh-recursive", where=str(path), hint="export it again"
        )
    placed: Counter[str] = Counter({"": 1})
    for holder in networkx.topological_sort(graph):
        for part, times in held[holder].items() if holder in held else ():
            placed[part] += placed[holder] * times
    MESH_NODES.check(sum(placed.values()) - 1, str(path))
