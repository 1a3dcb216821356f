"""Random augmentation of training images in uint8, and `fit` for images that must not be altered."""

from detectors.augment.apply import PARTNERS, augment
from detectors.augment.fit import Letterbox, fit
from detectors.augment.settings import PRESETS, AugmentSettings, preset

__all__ = ["PARTNERS", "PRESETS", "AugmentSettings", "Letterbox", "augment", "fit", "preset"]
