"""BOP, the format of the benchmark for 6D object pose estimation: scene by scene, and in shards."""
