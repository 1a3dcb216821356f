"""Settings of augmentation: probabilities and ranges, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from assets.errors import SynthError, unknown_name

Range = tuple[float, float]


@dataclass(frozen=True)
class AugmentSettings:
    """Probabilities (0 to 1) and ranges (low, high) of all augmentations; the defaults are the preset "strong".

    Factors are sampled log-uniformly, so that halving is as likely as doubling.
    """

    # Below 1, so that the network also sees images framed as at prediction.
    zoom_chance: float = 0.8
    # Size relative to the fitted image. Products 2x nearer or 1.4x farther still show enough print to be told apart.
    zoom: Range = (0.7, 2.0)
    # Width relative to height. Lenses and viewing angles stretch products this much; more looks like another pack size.
    aspect: Range = (0.87, 1.15)
    # In place of the zoom: patches around products, stretched to the output (Liu et al. 2016, "SSD").
    patch_chance: float = 0.0
    # Sides of patches as shares of the image, which make 0.1 to 1 of its area.
    patch_side: Range = (0.32, 1.0)
    # Before a patch is cut the image lies on a canvas that is larger by so much, where products are small.
    expand_chance: float = 0.5
    expand: Range = (1.0, 4.0)
    # Four images in one: other neighbours, other backgrounds, synthetic beside real.
    mosaic_chance: float = 0.25
    # Size relative to the fitted image. At 0.5 the four images would be shown whole.
    mosaic_zoom: Range = (0.55, 1.3)
    # Position of the common corner of the four, as a fraction of width and height.
    mosaic_centre: Range = (0.35, 0.65)
    # Products of another image pasted onto this one (Ghiasi et al. 2021): clutter and occlusion with exact masks.
    paste_chance: float = 0.3
    # Maximum number of pasted products; more would hide the scene.
    paste_count: int = 3
    # Size of the pasted product relative to its size in its own fitted image.
    paste_scale: Range = (0.7, 1.4)
    # Off, because it mirrors the print on packages, and mirrored print never occurs in a shop.
    flip_chance: float = 0.0
    # Hands, price labels and glare hide parts of products (random erasing, Zhong et al. 2020).
    erase_chance: float = 0.3
    # Fraction of the products in such an image that are partly hidden.
    erase_share: float = 0.4
    # Hidden fraction of the box's area. Above 0.3 the print that identifies the product may be gone.
    erase_area: Range = (0.04, 0.3)
    # Exposure, colour and contrast change together, as with another camera under other light.
    color_chance: float = 0.85
    # Factor on gamma-encoded values: about +-1 stop.
    brightness: Range = (0.7, 1.4)
    contrast: Range = (0.75, 1.3)
    gamma: Range = (0.75, 1.33)
    # Gain of each of red, green and blue: from warm bulbs to cool tubes.
    white_balance: Range = (0.88, 1.14)
    saturation: Range = (0.55, 1.5)
    # Degrees. Small: two flavours of one brand often differ in colour alone.
    hue: Range = (-6.0, 6.0)
    # Rare: shape and print should suffice at times, but colour is part of a product's identity.
    gray_chance: float = 0.02
    # Defocus.
    blur_chance: float = 0.25
    # Gaussian sigma in output pixels; at 640x360 small print is gone above 1.2.
    blur: Range = (0.4, 1.2)
    # Motion of a hand-held camera or of a robot.
    motion_chance: float = 0.12
    # Length in output pixels.
    motion: Range = (2.0, 6.0)
    noise_chance: float = 0.35
    # Standard deviation in grey levels of 255; a phone in a dim aisle reaches 10.
    noise: Range = (1.0, 10.0)
    jpeg_chance: float = 0.4
    # Quality as in libjpeg; video stills and messengers go down to about 40.
    jpeg_quality: Range = (40.0, 95.0)

    def __post_init__(self) -> None:
        problems = []
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name.endswith(("_chance", "_share")) and not 0 <= value <= 1:
                problems.append(f"{field.name} is {value}, not between 0 and 1")
            if isinstance(value, tuple) and not (len(value) == 2 and value[0] <= value[1]):
                problems.append(f"{field.name} is {value}, not (low, high)")
            if isinstance(value, tuple) and field.name != "hue" and value[0] <= 0:
                problems.append(f"{field.name} begins at {value[0]}, not above 0")
        if problems:
            raise SynthError("invalid augmentation settings", code="setting-invalid", problems=problems)


# Images only fitted to the network's input: for overfitting tests and ablations.
STILL = AugmentSettings(
    zoom_chance=0,
    mosaic_chance=0,
    paste_chance=0,
    erase_chance=0,
    color_chance=0,
    gray_chance=0,
    blur_chance=0,
    motion_chance=0,
    noise_chance=0,
    jpeg_chance=0,
)

PRESETS: dict[str, AugmentSettings] = {
    "none": STILL,
    # For short training on many real photos: framing and light only.
    "light": AugmentSettings(
        zoom_chance=0.5,
        zoom=(0.8, 1.3),
        aspect=(0.95, 1.05),
        mosaic_chance=0,
        paste_chance=0,
        erase_chance=0,
        color_chance=0.6,
        brightness=(0.85, 1.18),
        contrast=(0.88, 1.14),
        gamma=(0.88, 1.14),
        white_balance=(0.95, 1.05),
        saturation=(0.8, 1.25),
        hue=(-2.0, 2.0),
        gray_chance=0,
        blur_chance=0.1,
        blur=(0.3, 0.8),
        motion_chance=0,
        noise_chance=0.15,
        noise=(1.0, 4.0),
        jpeg_chance=0.2,
        jpeg_quality=(70.0, 95.0),
    ),
    "strong": AugmentSettings(),
    # As published with SSD, but for mirroring, which no print on a package survives.
    "ssd": replace(
        STILL,
        patch_chance=1,
        color_chance=0.8,
        brightness=(0.88, 1.14),
        contrast=(0.5, 1.5),
        gamma=(1.0, 1.0),
        white_balance=(1.0, 1.0),
        saturation=(0.5, 1.5),
        hue=(-18.0, 18.0),
    ),
}


def preset(name: str) -> AugmentSettings:
    """Return the settings of a preset: none, light, strong or ssd. Raises SynthError for an unknown name."""
    if name not in PRESETS:
        raise unknown_name("augmentation preset", name, PRESETS)
    return PRESETS[name]


def sample_factor(low_high: Range, rng: np.random.Generator) -> float:
    """Sample a factor log-uniformly between low and high."""
    low, high = low_high
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))
