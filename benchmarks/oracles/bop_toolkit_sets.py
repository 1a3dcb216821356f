"""BOP sets measured by the benchmark's own toolkit: models, poses, depth, masks, counts of pixels, targets, shards.

The toolkit (github.com/thodan/bop_toolkit, MIT) is on no package index. In an environment of its own:

    synth render --demo --scenes 4 --size 320x240 --depth --out data/synth
    synth data split data/synth data/test --split test:1.0
    synth data convert data/test data/bop --format bop --sku-list LIST
    synth data convert data/test data/web --format bop-webdataset --sku-list LIST
    python -m venv /tmp/bop && /tmp/bop/bin/pip install git+https://github.com/thodan/bop_toolkit scikit-image
    EGL_PLATFORM=surfaceless /tmp/bop/bin/python benchmarks/oracles/bop_toolkit_sets.py data/bop data/web

Each model is drawn in its pose by the toolkit's renderer on its canvas of three times the image, and what
scripts/calc_gt_info.py computes from that is compared with our numbers. Fails where depth differs by more than a
millimetre away from outlines, or a count by more than a tenth of the pixels along the outline.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from bop_toolkit_lib import inout, misc, visibility
from bop_toolkit_lib.dataset import bop_webdataset
from bop_toolkit_lib.rendering import renderer

# As scripts/calc_gt_info.py has it for rendered images, millimetres.
DELTA = 5


def main(scenes: Path, shards: Path, split: str = "test") -> None:
    """Compare all scenes of a split, and the shards with them."""
    check_models(scenes / "models")
    folders = sorted((scenes / split).glob("[0-9]*"))
    checks = [check_scene(folder, scenes / "models") for folder in folders]
    products = np.concatenate(checks)
    print(f"{len(folders)} scenes, {len(products)} products, against {len(products)} drawn by the toolkit:")
    for name, column in zip(("px_count_all", "px_count_visib"), np.abs(products).T[:2], strict=True):
        print(f"  {name}: {column.mean():.4f} of the outline differ on average, {column.max():.4f} at most")
    print(f"  visib_fract: within {products[:, 2].max():.4f}, depth inside within {products[:, 3].max():.3f} mm")
    assert np.abs(products[:, :2]).max() < 0.1 and products[:, 3].max() < 1.0
    check_targets(scenes, split)
    check_shards(scenes, shards, split)


def check_models(folder: Path) -> None:
    """Compare sizes and diameters with those that the toolkit computes of each model."""
    sizes = inout.load_json(str(folder / "models_info.json"), keys_to_int=True)
    for number, said in sizes.items():
        model = inout.load_ply(str(folder / f"obj_{number:06d}.ply"))
        points = model["pts"]
        box = misc.calc_3d_bbox(points[:, 0], points[:, 1], points[:, 2])
        names = ("min_x", "min_y", "min_z", "size_x", "size_y", "size_z")
        np.testing.assert_allclose([said[name] for name in names], box, atol=1e-3)
        np.testing.assert_allclose(said["diameter"], misc.calc_pts_diameter(points), atol=1e-3)
        np.testing.assert_allclose(points.min(0) + points.max(0), 0, atol=1e-3)
        np.testing.assert_allclose(np.linalg.norm(model["normals"], axis=1), 1, atol=1e-3)
    print(f"{len(sizes)} models: boxes and diameters as the toolkit computes them, origins in the middle")


def check_scene(folder: Path, models: Path) -> np.ndarray:
    """Return (N, 4) of each product: differences of both counts by pixels of its outline, of visib_fract, of depth."""
    cameras = inout.load_scene_camera(str(folder / "scene_camera.json"))
    poses = inout.load_scene_gt(str(folder / "scene_gt.json"))
    infos = inout.load_scene_gt(str(folder / "scene_gt_info.json"))
    height, width = inout.load_depth(str(folder / "depth" / "000000.png")).shape
    drawing = renderer.create_renderer(3 * width, 3 * height, "vispy", mode="depth")
    for number in {pose["obj_id"] for rows in poses.values() for pose in rows}:
        drawing.add_object(number, str(models / f"obj_{number:06d}.ply"))
    rows = []
    for image, own in poses.items():
        lens = cameras[image]["cam_K"]
        depth = inout.load_depth(str(folder / "depth" / f"{image:06d}.png")) * cameras[image]["depth_scale"]
        for place, (pose, info) in enumerate(zip(own, infos[image], strict=True)):
            focal = lens[0, 0], lens[1, 1], lens[0, 2] + width, lens[1, 2] + height
            large = drawing.render_object(pose["obj_id"], pose["cam_R_m2c"], pose["cam_t_m2c"], *focal)["depth"]
            mask = inout.load_im(str(folder / "mask_visib" / f"{image:06d}_{place:06d}.png")) > 0
            rows.append(check_product(large, depth, lens, info, mask))
    return np.array(rows)


def check_product(large: np.ndarray, depth: np.ndarray, lens: np.ndarray, info: dict, mask: np.ndarray) -> list[float]:
    """Compare one product, drawn on the large canvas, with its numbers."""
    height, width = depth.shape
    alone = large[height : 2 * height, width : 2 * width]
    distances = [misc.depth_im_to_dist_im_fast(one, lens) for one in (depth, alone)]
    visible = visibility.estimate_visib_mask_gt(*distances, DELTA, visib_mode="bop19")
    everything = int((large > 0).sum())
    outline = max(int((edges(large > 0)).sum()), 8)
    inside = visible & mask & ~edges(mask) & ~edges(alone > 0)
    apart = float(np.abs(depth - alone)[inside].max()) if inside.any() else 0.0
    return [
        (info["px_count_all"] - everything) / outline,
        (info["px_count_visib"] - int(visible.sum())) / max(int(edges(mask).sum()), 8),
        abs(info["visib_fract"] - visible.sum() / max(everything, 1)) if everything > 400 else 0.0,
        # Depth is stored in whole millimetres, and steep faces are sampled at the middles of pixels by both.
        max(apart - 1.0, 0.0),
    ]


def edges(mask: np.ndarray) -> np.ndarray:
    """Return the pixels that have a neighbour of the other kind."""
    found = np.zeros_like(mask)
    found[1:] |= mask[1:] != mask[:-1]
    found[:-1] |= mask[1:] != mask[:-1]
    found[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    found[:, :-1] |= mask[:, 1:] != mask[:, :-1]
    return found


def check_targets(scenes: Path, split: str) -> None:
    """Compare the targets with those that scripts/enumerate_test_targets.py would find."""
    expected = []
    for folder in sorted((scenes / split).glob("[0-9]*")):
        poses = inout.load_scene_gt(str(folder / "scene_gt.json"))
        infos = inout.load_scene_gt(str(folder / "scene_gt_info.json"))
        for image in sorted(poses):
            counts: dict[int, int] = {}
            for pose, info in zip(poses[image], infos[image], strict=True):
                if info["visib_fract"] >= 0.1:
                    counts[pose["obj_id"]] = counts.get(pose["obj_id"], 0) + 1
            row = {"im_id": image, "scene_id": int(folder.name)}
            expected += [{**row, "obj_id": number, "inst_count": count} for number, count in counts.items()]
    found = inout.load_json(str(scenes / "test_targets_bop19.json"))
    assert found == expected
    print(f"{len(found)} targets as the toolkit counts them")


def check_shards(scenes: Path, shards: Path, split: str) -> None:
    """Compare every image of the shards with the scenes, as the toolkit reads both."""
    keys = json.loads((shards / split / "key_to_shard.json").read_text())
    for key, shard in keys.items():
        scene, image = (int(part) for part in key.split("_"))
        folder = scenes / split / f"{scene:06d}"
        suffix = next((folder / "rgb").glob(f"{image:06d}.*")).suffix
        read = bop_webdataset.load_image_data(
            str(shards / split / f"shard-{shard:06d}.tar"),
            key,
            load_mask=True,
            load_gt=True,
            load_gt_info=True,
            rgb_suffix=suffix,
        )
        np.testing.assert_array_equal(read["im_rgb"], inout.load_im(str(folder / "rgb" / f"{image:06d}{suffix}")))
        np.testing.assert_array_equal(read["im_depth"], inout.load_depth(str(folder / "depth" / f"{image:06d}.png")))
        poses = inout.load_scene_gt(str(folder / "scene_gt.json"))[image]
        assert len(read["gt"]) == len(poses) == len(read["gt_info"])
        for kind in ("mask", "mask_visib"):
            masks = [inout.load_im(str(folder / kind / f"{image:06d}_{row:06d}.png")) > 0 for row in range(len(poses))]
            np.testing.assert_array_equal(read[kind] > 0, masks)
    print(f"{len(keys)} images of shards as in the scenes")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
