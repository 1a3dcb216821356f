"""Random variety for training pictures, on uint8 with tables; `fit` for pictures that are to stay as they are."""

from detectors.augment.apply import PARTNERS, augment
from detectors.augment.fit import Letterbox, fit
from detectors.augment.settings import PRESETS, AugmentSettings, preset

__all__ = ["PARTNERS", "PRESETS", "AugmentSettings", "Letterbox", "augment", "fit", "preset"]
