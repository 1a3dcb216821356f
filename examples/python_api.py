"""From a catalogue to a labelled image in Python: python examples/python_api.py OUT [SKU_LIST]

Writes OUT/image.png, OUT/labels.png with outlines, OUT/depth.png and OUT/scene.json, and prints a line per product.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from PIL import Image

import synth


def main(out: Path, sku_list: Path | None = None, *, width: int = 640, height: int = 480) -> synth.Frame:
    """Render one scene of the demo catalogue, or of a SKU list, into the folder `out`."""
    out.mkdir(parents=True, exist_ok=True)
    catalog = synth.load_catalog(sku_list) if sku_list else synth.demo_catalog()
    print(f"{len(catalog)} products, the first one: {catalog[0].sku} {catalog[0].name}")

    # All randomness is in the scene. It is plain data: store it, change it, render it again.
    library = synth.open_library(catalog)
    scene = synth.sample_scene(library, "tabletop", seed=42, index=0, width=width, height=height)
    (out / "scene.json").write_text(scene.to_json())

    with synth.open_renderer(library) as renderer:
        frame = renderer.render(scene)

    Image.fromarray(frame.rgb).save(out / "picture.png")
    synth.plot_labels(frame).save(out / "labels.png")
    depth = frame.geometry.depth  # metres along the optical axis, inf where nothing is hit
    farthest = depth[np.isfinite(depth)].max()
    Image.fromarray((255 * np.minimum(depth / farthest, 1)).astype(np.uint8)).save(out / "depth.png")

    for label in frame.annotations:
        x, y, z = label.camera_from_object[:3, 3]
        print(
            f"{label.sku}: box {label.box}, {label.visibility:.0%} visible, {label.mask.sum()} pixels, "
            f"{z:.2f} m away ({x:+.2f} right, {y:+.2f} down)"
        )
    return frame


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
