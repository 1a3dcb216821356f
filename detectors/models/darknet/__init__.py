"""The YOLO detectors of Darknet: versions 1 to 4, from their papers."""
