"""What lights a scene and stands behind and under it."""
