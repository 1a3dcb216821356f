"""The render run: scenes in, a COCO data set out."""
