"""Detection and recognition: COCO in, checkpoints and metrics out; the only package that imports torch."""

import assets as assets  # before numpy
