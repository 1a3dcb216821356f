"""Things set on surfaces: touching, never intersecting."""
