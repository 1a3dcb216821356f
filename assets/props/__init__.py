"""Props and their appearance: simple bodies, textures, wear, packs of fictitious brands."""
