"""Mesh files that are cut off, bent, nested without end or lie about their sizes."""

from __future__ import annotations

import io
import json
import re
import struct
import zipfile
from contextlib import suppress
from functools import cache

import numpy as np
from hypothesis import strategies as st

from assets.errors import SynthError
from assets.mesh.load import load_mesh
from assets.mesh.rest import rest_from_mesh
from support.fuzzing.files import Files, Sandbox, broken, changed_json, changed_words, nothing_written


@cache
def good_files() -> dict[str, Files]:
    """A textured box in each format, as trimesh exports it."""
    import trimesh
    from PIL import Image

    box = trimesh.creation.box((0.1, 0.2, 0.3))
    uv = np.random.default_rng(0).uniform(size=(len(box.vertices), 2))
    image = Image.fromarray(np.random.default_rng(1).integers(0, 255, (8, 8, 3)).astype(np.uint8))
    material = trimesh.visual.material.SimpleMaterial(image=image)
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    text, companions = trimesh.exchange.obj.export_obj(box, return_texture=True, mtl_name="m.mtl")
    files: dict[str, Files] = {"obj": {"a.obj": text.encode(), **companions}}
    plain = trimesh.Trimesh(box.vertices, box.faces, process=False)
    for kind in ("glb", "stl", "ply", "off", "dae", "stl_ascii", "3mf"):
        scene = trimesh.Scene(box if kind in ("glb", "dae") else plain)
        if kind == "3mf":
            scene.apply_scale(1000)  # its unit is the millimetre
        data = (
            scene.export(file_type=kind)
            if kind in ("glb", "3mf")
            else (box if kind == "dae" else plain).export(file_type=kind)
        )
        files[kind] = {f"a.{kind.removesuffix('_ascii')}": data.encode() if isinstance(data, str) else data}
    files["ply_ascii"] = {"a.ply": trimesh.exchange.ply.export_ply(box, encoding="ascii")}
    files["gltf"] = {"a.gltf": b"", **trimesh.Scene(box).export(file_type="gltf")}
    files["gltf"]["a.gltf"] = files["gltf"].pop("model.gltf")
    return files


def broken_glb(data: bytes) -> st.SearchStrategy[bytes]:
    """A GLB whose JSON was changed and whose lengths are right again."""
    size = struct.unpack_from("<I", data, 12)[0]
    tree, rest = data[20 : 20 + size], data[20 + size :]

    def packed(text: bytes) -> bytes:
        text += b" " * (-len(text) % 4)
        head = struct.pack("<III", 0x46546C67, 2, 20 + len(text) + len(rest))
        return head + struct.pack("<II", len(text), 0x4E4F534A) + text + rest

    return changed_json(tree).map(packed)


def broken_3mf(data: bytes) -> st.SearchStrategy[bytes]:
    """A 3MF whose model was changed and packed again."""
    archive = zipfile.ZipFile(io.BytesIO(data))
    members = {name: archive.read(name) for name in archive.namelist()}
    model = next(name for name in members if name.endswith(".model"))

    def packed(text: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as out:
            for name, content in members.items():
                out.writestr(name, text if name == model else content)
        return buffer.getvalue()

    return changed_words(members[model]).map(packed)


def shared_places(data: bytes) -> st.SearchStrategy[bytes]:
    """A text whose numbers were replaced by a few others: faces that fold, vertices that meet, values out of range."""
    numbers = re.findall(rb"-?\d+\.?\d*(?:e-?\d+)?", data)
    odd = st.sampled_from([b"0", b"1", b"-1", b"1e30", b"nan", b"1e-30", b"999999999", b"1e300", b"2", b"8"])

    def replaced(found: list[bytes]) -> bytes:
        stream = iter(found)
        return re.sub(rb"-?\d+\.?\d*(?:e-?\d+)?", lambda match: next(stream), data)

    whole = st.tuples(*(st.one_of(st.just(number), st.just(number), odd) for number in numbers[:120]))
    return whole.map(lambda head: replaced([*head, *numbers[120:]]))


@st.composite
def meshes(draw: st.DrawFn) -> Files:
    """A mesh with what it names, one of its files broken."""
    kind = draw(st.sampled_from(sorted(good_files())))
    files = dict(good_files()[kind])
    victim = draw(st.sampled_from(sorted(files)))
    ways = [changed_words]
    if victim.endswith((".obj", ".off")) or kind in ("stl_ascii", "ply_ascii"):
        ways.append(shared_places)
    if victim.endswith(".gltf"):
        ways.append(changed_json)
    if kind in ("glb", "3mf"):
        ways = [broken_glb if kind == "glb" else broken_3mf]
    files[victim] = draw(st.one_of(broken(files[victim], *ways), st.binary(max_size=100)))
    return files


def check_mesh_is_read_or_told(files: Files, box: Sandbox) -> None:
    """What is read is a finite body of a product's size; everything else is told."""
    path = box.write(files)
    with nothing_written(box), suppress(SynthError):
        mesh = load_mesh(path, size=(None, None, 0.3) if len(files) % 2 else (None, None, None)).mesh
        assert np.isfinite(mesh.vertices).all() and np.isfinite(mesh.normals).all()
        assert mesh.uv is None or np.isfinite(mesh.uv).all()
        assert all(((part.material.base_color >= 0) & (part.material.base_color <= 1)).all() for part in mesh.parts)
        assert 0.0001 < mesh.size.max() < 12 and len(mesh.faces)
        rest = rest_from_mesh(mesh)
        assert np.isfinite(rest.rotations).all() and np.isfinite(rest.weights).all()


def laughing_3mf(depth: int) -> bytes:
    """Objects that each hold the next one twice: 2^depth parts."""
    mesh = (
        '<mesh><vertices><vertex x="0" y="0" z="0"/><vertex x="1" y="0" z="0"/><vertex x="0" y="1" z="0"/></vertices>'
    )
    mesh += '<triangles><triangle v1="0" v2="1" v3="2"/></triangles></mesh>'
    objects = f'<object id="0">{mesh}</object>' + "".join(
        f'<object id="{n}"><components>{f"<component objectid={chr(34)}{n - 1}{chr(34)}/>" * 2}</components></object>'
        for n in range(1, depth + 1)
    )
    model = f'<model xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"><resources>{objects}</resources>'
    model += f'<build><item objectid="{depth}"/></build></model>'
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("3D/3dmodel.model", model)
    return buffer.getvalue()


def gltf_tree() -> dict:
    """The JSON of the good glTF."""
    return dict(json.loads(good_files()["gltf"]["a.gltf"]))
