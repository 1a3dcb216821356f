"""Expanded size of 3MF and COLLADA files, checked before they are read: unpacked archives and repeated parts.

A page of XML can place a part 2^30 times with 30 groups that each contain the next one twice.
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

# "" is the scene itself, the root of everything placed.
Edges = Iterator[tuple[str, str]]
XML = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


def check_bounds(path: Path) -> None:
    """Raise SynthError if a 3MF or COLLADA file expands beyond the limits or contains itself."""
    kind = path.suffix.lower()
    if kind == ".3mf":
        with zipfile.ZipFile(path) as archive:
            MESH_UNPACKED.check(sum(entry.file_size for entry in archive.infolist()), str(path))
            _check_repeats((edge for file in _open_models(archive) for edge in _edges_of_3mf(file)), path)
    elif kind == ".dae":
        with path.open("rb") as file:
            _check_repeats(_edges_of_collada(file), path)


def _open_models(archive: zipfile.ZipFile) -> Iterator[IO[bytes]]:
    for entry in archive.infolist():
        if entry.filename.lower().endswith(".model"):
            with archive.open(entry) as file:
                yield file


def _edges_of_3mf(file: IO[bytes]) -> Edges:
    """Iterate over (parent, child) of each component of an object and each build item."""
    from lxml import etree

    for _, element in etree.iterparse(file, tag=("{*}object", "{*}item"), events=("end",), **XML):
        if element.tag.endswith("item"):
            yield "", element.get("objectid", "")
        else:
            yield from ((element.get("id", ""), part.get("objectid", "")) for part in element.iter("{*}component"))
        element.clear()


def _edges_of_collada(file: IO[bytes]) -> Edges:
    """Iterate over (parent, child) of each nested node and each instance; the nodes of a visual scene are placed."""
    from lxml import etree

    tags = ("{*}visual_scene", "{*}node", "{*}instance_node", "{*}instance_geometry")
    parents: list[str] = []
    for number, (event, element) in enumerate(etree.iterparse(file, tag=tags, events=("start", "end"), **XML)):
        kind = etree.QName(element).localname
        if event == "end":
            if kind in ("visual_scene", "node"):
                parents.pop()
            continue
        name = f"#{element.get('id') or number}"
        if kind == "visual_scene":
            yield "", name
        elif parents:
            yield parents[-1], element.get("url", "") if kind == "instance_node" else name
        if kind in ("visual_scene", "node"):
            parents.append(name)


def _check_repeats(edges: Edges, path: Path) -> None:
    """Raise SynthError if parts contain themselves or more of them are placed than the limit; nothing is expanded."""
    children: dict[str, Counter[str]] = defaultdict(Counter)
    for parent, part in edges:
        children[parent][part] += 1
    graph = networkx.DiGraph([(parent, part) for parent, parts in children.items() for part in parts])
    if not networkx.is_directed_acyclic_graph(graph):
        raise SynthError(
            "a part of the mesh file contains itself", code="mesh-recursive", where=str(path), hint="export it again"
        )
    placed: Counter[str] = Counter({"": 1})
    for parent in networkx.topological_sort(graph):
        for part, times in children[parent].items() if parent in children else ():
            placed[part] += placed[parent] * times
    MESH_NODES.check(sum(placed.values()) - 1, str(path))
