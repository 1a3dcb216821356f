"""The contract between rendering and learning: COCO data sets as folders and as shards."""

import assets as assets  # before numpy
