"""Props and their looks: plain bodies, textures, wear, packs of invented brands."""
