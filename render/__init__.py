"""SceneSpec in, Frame out, COCO written."""
