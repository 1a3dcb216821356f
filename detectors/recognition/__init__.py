"""Recognition of products by embeddings and galleries."""
