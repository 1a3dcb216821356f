"""Names that people look for in vain, and what of the table comes closest: by size, speed and what it predicts."""

from __future__ import annotations

import re

# One-stage detectors of a family that many know as a word for "detector": a fast one, and the one without anchors.
_FAST = ("ssdlite", "fcos")
_YOLO = ("yolo", "ssdlite")
_STRONG = ("fcos", "fasterrcnn")
# What a name begins with once it is in small letters and digits alone, the longest that fits.
WELL_KNOWN = {
    "yolo": _YOLO,
    "ppyolo": _YOLO,
    "rtmdet": _FAST,
    "nanodet": _FAST,
    "damoyolo": _YOLO,
    "mobilenet": ("ssdlite", "fasterrcnn_mobilenet"),
    "ssd": ("ssdlite", "ssd300"),
    "efficientdet": ("fcos", "retinanet"),
    "tfefficientdet": ("fcos", "retinanet"),
    "effdet": ("fcos", "retinanet"),
    "retina": ("retinanet",),
    "centernet": ("fcos",),
    "cornernet": ("fcos",),
    "atss": ("fcos",),
    "detr": _STRONG,
    "rtdetr": _STRONG,
    "rfdetr": _STRONG,
    "dino": _STRONG,
    "deformabledetr": _STRONG,
    "groundingdino": _STRONG,
    "vitdet": _STRONG,
    "rcnn": ("fasterrcnn", "maskrcnn"),
    "fast": ("fasterrcnn", "fasterrcnn_mobilenet"),
    "faster": ("fasterrcnn", "fasterrcnn_mobilenet"),
    "fasterrcnnmobilenet": ("fasterrcnn_mobilenet", "fasterrcnn_mobilenet_320"),
    "cascade": ("fasterrcnn", "maskrcnn"),
    "mask": ("maskrcnn",),
    "yolact": ("maskrcnn",),
    "sam": ("maskrcnn",),
    "solo": ("maskrcnn",),
    "resnet": ("fasterrcnn", "fcos"),
    "efficientnet": ("fcos",),
}


def nearest_detectors(name: str) -> tuple[str, ...]:
    """Entries of the table of detectors that a well-known name comes closest to, none where it is not known."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    fitting = [known for known in WELL_KNOWN if plain.startswith(known)]
    return WELL_KNOWN[max(fitting, key=len)] if fitting else ()
