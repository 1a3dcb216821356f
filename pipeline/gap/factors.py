"""The table of factors in which renders differ from photographs, each with the keys of recipes that move it."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.target.measure import (
    BRIGHTNESS,
    COLOR,
    CONTRAST,
    DETAIL,
    JPEG,
    LENS,
    LIGHT_NOISE,
    SHADOW_NOISE,
    SHARPNESS,
    WARMTH,
    Statistic,
)

# Gaussian sigmas, pixels, between which the contrast of a band is measured: octaves.
BAND_SIGMAS = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
SIDE = Statistic("object size", "root of the area of a box, at the size of the comparison", "px", log=True, decimals=1)
SHAPE = Statistic("object shape", "width over height of a box", log=True)
OBJECTS = Statistic("objects", "boxes in a picture", "per picture", decimals=1)
OVERLAP = Statistic("overlap", "largest share of a box that another box covers", "%", decimals=1)
VISIBILITY = Statistic("visibility", "share of an object that nothing hides, by its label", "%", decimals=1)
OFFSET = Statistic("place", "distance of a box from the middle of the picture, 100 = corner", "%", decimals=1)
AGAINST = Statistic("light on objects", "luminance of a box over that outside of all boxes", "stops")
BLOWN = Statistic("blown out", "share of pixels at the end of the scale in a channel", "%", decimals=1)
BANDS = tuple(
    Statistic(
        f"contrast at {sigma:g} px", f"deviation of grey in the octave from {sigma:g} px, of its mean", "%", log=True
    )
    for sigma in BAND_SIGMAS[:-1]
)


@dataclass(frozen=True)
class Effect:
    """A key of recipes, section and field. sign: -1 where a larger value makes the factor smaller."""

    key: str
    sign: int = 1


@dataclass(frozen=True)
class Factor:
    """A statistic of pictures, or of each object in them. least: the smallest difference worth naming, as compared.

    effects: keys that move it, the most direct first. guess: whether that one changes it one to one on its scale.
    """

    statistic: Statistic
    least: float
    effects: tuple[Effect, ...]
    per_object: bool = False
    guess: bool = False

    @property
    def name(self) -> str:
        """The name, unique in the table."""
        return self.statistic.name


SIZE_EFFECTS = (
    Effect("camera.like"),
    Effect("products.size"),
    Effect("camera.distance", -1),
)
CROWDING = (
    Effect("products.density"),
    Effect("products.touch"),
    Effect("products.occlude"),
    Effect("products.stack"),
    Effect("products.fill_m"),
    Effect("products.gap_m", -1),
    Effect("distractors.count"),
    Effect("occluders.chance"),
    Effect("camera.height_deg", -1),
)
FINEST = (
    Effect("sensor.blur_px", -1),
    Effect("sensor.sharpen"),
    Effect("sensor.shaken", -1),
    Effect("optics.aperture_mm", -1),
)
SHADING = (
    Effect("sensor.contrast"),
    Effect("sensor.tone"),
    Effect("lights.area_share"),
    Effect("lights.area_count"),
    Effect("background.gain", -1),
)
FACTORS = (
    Factor(SIDE, 0.05, SIZE_EFFECTS, per_object=True, guess=True),
    Factor(OBJECTS, 0.5, (Effect("products.count"), Effect("products.facings"), Effect("camera.distance")), guess=True),
    Factor(
        SHAPE,
        0.05,
        (Effect("camera.height_deg"), Effect("camera.roll_deg"), Effect("products.manner")),
        per_object=True,
    ),
    Factor(OVERLAP, 1.0, CROWDING, per_object=True),
    Factor(VISIBILITY, 1.0, tuple(Effect(one.key, -one.sign) for one in CROWDING), per_object=True),
    Factor(OFFSET, 1.0, (Effect("camera.aim"), Effect("camera.distance")), per_object=True),
    Factor(
        AGAINST,
        0.05,
        (Effect("background.gain", -1), Effect("table.gain", -1), Effect("lights.area_share")),
        per_object=True,
    ),
    Factor(DETAIL, 0.05, SIZE_EFFECTS),
    Factor(LENS, 0.03, (Effect("camera.lens_mm"),), guess=True),
    Factor(BRIGHTNESS, 0.05, (Effect("sensor.exposure_ev"), Effect("background.gain")), guess=True),
    Factor(BLOWN, 0.5, (Effect("sensor.exposure_ev"), Effect("sensor.contrast"), Effect("lights.area_share"))),
    Factor(CONTRAST, 0.01, SHADING),
    Factor(BANDS[0], 0.05, (*FINEST, Effect("sensor.read_noise"), Effect("sensor.shot_noise"))),
    Factor(BANDS[1], 0.05, FINEST),
    Factor(BANDS[2], 0.05, (Effect("sensor.contrast"), *FINEST)),
    Factor(BANDS[3], 0.05, (Effect("sensor.contrast"), Effect("products.density"), Effect("camera.distance", -1))),
    Factor(BANDS[4], 0.05, SHADING),
    Factor(SHARPNESS, 0.05, FINEST),
    Factor(SHADOW_NOISE, 0.1, (Effect("sensor.read_noise"), Effect("sensor.shot_noise"))),
    Factor(LIGHT_NOISE, 0.1, (Effect("sensor.shot_noise"), Effect("sensor.read_noise"))),
    Factor(
        WARMTH,
        0.05,
        (
            Effect("sensor.white_balance_kelvin"),
            Effect("lights.environment_kelvin", -1),
            Effect("lights.area_kelvin", -1),
        ),
    ),
    Factor(COLOR, 0.005, (Effect("sensor.saturation"), Effect("finish.tint"))),
    Factor(JPEG, 1.0, (Effect("sensor.jpeg_quality"),), guess=True),
)
