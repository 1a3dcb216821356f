"""SceneSpec in, Frame out, COCO written."""

import assets as assets  # before numpy
