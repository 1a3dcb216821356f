"""Well-known detectors that are not available here, and the closest available ones by size, speed and output."""

from __future__ import annotations

import re

# A fast one-stage detector, and the one without anchors.
_FAST = ("ssdlite", "fcos")
_YOLO = ("yolo", "ssdlite")
_EFFICIENT = ("efficientdet_d2", "efficientdet_d0")
_STRONG = ("dfine", "rtdetr")
_SEMANTIC = ("fcn", "segnet")
# Prefixes of names reduced to lower-case letters and digits; the longest matching prefix counts.
WELL_KNOWN = {
    "yolo": _YOLO,
    "yolo9000": ("yolov2", "yolo"),
    # Versions of two digits are current ones.
    **{f"yolov1{digit}": _YOLO for digit in range(10)},
    "yolov1": ("yolov1", "yolo"),
    "yolov2": ("yolov2", "yolo"),
    "yolov3": ("yolov3", "yolo"),
    "yolov4": ("yolov4", "yolo"),
    "scaledyolo": ("yolov4", "yolo"),
    "ppyolo": _YOLO,
    "rtmdet": _FAST,
    "nanodet": _FAST,
    "damoyolo": _YOLO,
    "mobilenet": ("ssdlite", "fasterrcnn_mobilenet"),
    "ssd": ("ssdlite", "ssd300"),
    "ssd5": ("ssd512",),
    "efficientdet": _EFFICIENT,
    "tfefficientdet": _EFFICIENT,
    "effdet": _EFFICIENT,
    "retina": ("retinanet",),
    "cornernet": ("centernet", "fcos"),
    "centernet": ("centernet",),
    "objectsaspoints": ("centernet",),
    "atss": ("fcos",),
    "detr": _STRONG,
    "rtdetr": _STRONG,
    "rfdetr": _STRONG,
    "dino": _STRONG,
    "deformabledetr": _STRONG,
    "groundingdino": _STRONG,
    "vitdet": _STRONG,
    "rcnn": ("rcnn", "fasterrcnn"),
    "spp": ("sppnet", "fast_rcnn"),
    "fastrcnn": ("fast_rcnn", "fasterrcnn"),
    "rfcn": ("rfcn", "fasterrcnn"),
    "overfeat": ("sliding_window",),
    "sliding": ("sliding_window",),
    "selectivesearch": ("rcnn", "fast_rcnn"),
    "fast": ("fasterrcnn", "fasterrcnn_mobilenet"),
    "faster": ("fasterrcnn", "fasterrcnn_mobilenet"),
    "fasterrcnnmobilenet": ("fasterrcnn_mobilenet", "fasterrcnn_mobilenet_320"),
    "cascade": ("fasterrcnn", "maskrcnn"),
    "mask": ("maskrcnn",),
    "yolact": ("maskrcnn",),
    "sam": ("maskrcnn",),
    "solo": ("maskrcnn",),
    "unet": _SEMANTIC,
    "deeplab": _SEMANTIC,
    "pspnet": _SEMANTIC,
    "segformer": _SEMANTIC,
    "deconv": ("deconvnet",),
    "resnet": ("fasterrcnn", "fcos"),
    "efficientnet": ("efficientdet_d0", "fcos"),
}


def nearest_detectors(name: str) -> tuple[str, ...]:
    """Return the available detectors closest to a well-known one, () if the name is not known."""
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    fitting = [known for known in WELL_KNOWN if plain.startswith(known)]
    return WELL_KNOWN[max(fitting, key=len)] if fitting else ()
