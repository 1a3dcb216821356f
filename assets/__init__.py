"""What can be put into a scene: catalogue, meshes, packages, props, textures, backdrops."""
