"""Items set on supports: touching, never intersecting."""
