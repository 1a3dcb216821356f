"""Cameras found in shops: focal length, distance and optics of each, as ranges for recipes.

There is no published table of them. Focal lengths and distances are what makers state for such cameras, and where they
hang; the optics follow from pupil, readout and shake as noted at each.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

Range = tuple[float, float]


@dataclass(frozen=True)
class CameraPreset:
    """A kind of camera. lens_mm: 35 mm equivalent. distance_m: to the products. optics: fields of parts.Optics."""

    lens_mm: Range
    distance_m: Range
    optics: Mapping[str, float | Range]


CAMERAS: Mapping[str, CameraPreset] = MappingProxyType(
    {
        # Distortion is corrected in the phone but for 1 or 2 %; 6 to 7 mm at f/1.6 to f/2.4; a hand turns by up to 10
        # degrees per second, and a readout takes up to 1/30 s. Its 12 megapixels are scaled down: no mosaic is seen.
        "phone": CameraPreset(
            (24.0, 28.0),
            (0.6, 1.5),
            {
                "distortion": (-0.01, 0.02),
                "rolling_deg": (0.0, 0.3),
                "chromatic": 0.0005,
                "aperture_mm": (2.6, 4.2),
            },
        ),
        # A small wide lens (M12 mount, 2.8 mm at f/2 to f/2.8) across the aisle: strong barrel, deep focus, no motion.
        "shelf_camera": CameraPreset(
            (16.0, 20.0),
            (1.0, 2.0),
            {
                "distortion": (-0.2, -0.05),
                "tangential": 0.001,
                "chromatic": 0.001,
                "aperture_mm": (1.0, 1.4),
                "mosaic": 1.0,
            },
        ),
        # Turns by 30 to 60 degrees per second past the shelf, with 15 to 25 ms of readout.
        "robot": CameraPreset(
            (22.0, 32.0),
            (0.7, 1.5),
            {
                "distortion": (-0.08, 0.0),
                "rolling_deg": (0.0, 1.5),
                "chromatic": 0.0005,
                "aperture_mm": (1.5, 3.0),
                "mosaic": 1.0,
            },
        ),
        # 60 to 90 degrees wide, straight above the tray.
        "self_checkout": CameraPreset(
            (23.0, 34.0),
            (0.5, 1.0),
            {"fisheye": 1.0, "fisheye_k1": (-0.05, 0.05), "chromatic": 0.001, "aperture_mm": (0.8, 1.4), "mosaic": 1.0},
        ),
        # 80 to 98 degrees wide; square images still end 72 degrees from the axis, which is as far as can be rendered.
        "ceiling": CameraPreset(
            (21.0, 26.0),
            (2.5, 3.5),
            {
                "fisheye": 1.0,
                "fisheye_k1": (-0.02, 0.05),
                "chromatic": 0.0015,
                "aperture_mm": (0.6, 1.0),
                "mosaic": 1.0,
            },
        ),
    }
)
