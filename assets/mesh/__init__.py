"""Foreign meshes in, normalised meshes out."""
