"""Writing a Mesh as GLB, for other programs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from assets.mesh import Material, Mesh

# glTF has Y up: the inverse of what reading it does.
Y_UP_FROM_Z = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def glb_of(mesh: Mesh) -> bytes:
    """The mesh as binary glTF, in metres; `assets.mesh_file.load_mesh` reads the same geometry and look back."""
    import trimesh

    scene = trimesh.Scene()
    for number, part in enumerate(mesh.parts):
        used, faces = np.unique(mesh.faces[part.face_start : part.face_stop], return_inverse=True)
        piece = trimesh.Trimesh(
            vertices=mesh.vertices[used] @ Y_UP_FROM_Z.T,
            faces=faces.reshape(-1, 3),
            vertex_normals=mesh.normals[used] @ Y_UP_FROM_Z.T,
            visual=_visual(mesh, part.material, used),
            process=False,
        )
        scene.add_geometry(piece, node_name=f"part{number}", geom_name=f"part{number}")
    data: bytes = scene.export(file_type="glb", include_normals=True)
    return data


def _visual(mesh: Mesh, material: Material, used: NDArray[np.int64]) -> object:
    from PIL import Image
    from trimesh.visual import ColorVisuals, TextureVisuals
    from trimesh.visual.material import PBRMaterial

    if material.texture is None and mesh.colors is not None:
        return ColorVisuals(vertex_colors=mesh.colors[used])
    picture = None if material.texture is None else Image.fromarray(np.array(material.texture))
    look = PBRMaterial(
        baseColorTexture=picture,
        baseColorFactor=(np.clip(material.base_color, 0, 1) * 255 + 0.5).astype(np.uint8),
        roughnessFactor=material.roughness,
        metallicFactor=material.metallic,
        alphaMode="OPAQUE" if material.alpha_cutoff is None else "MASK",
        alphaCutoff=material.alpha_cutoff,
        doubleSided=True,
    )
    uv = np.zeros((len(used), 2)) if mesh.uv is None else mesh.uv[used]
    return TextureVisuals(uv=uv, material=look)
