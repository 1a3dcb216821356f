"""Assets of scenes: catalogue, meshes, packages, props, textures, backdrops."""
