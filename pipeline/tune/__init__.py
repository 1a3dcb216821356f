"""Search for the ranges of a recipe: nearer to photographs, or to where a detector fails."""
