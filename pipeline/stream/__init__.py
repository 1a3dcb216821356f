"""Training images that are rendered while training, without a data set on disk."""
