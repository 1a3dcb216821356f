"""Assets of scenes: catalogue, meshes, packages, props, textures, backdrops."""

import os

# numpy rounds sines and exponentials differently where a processor has AVX-512: the same seed would give other bytes
# there. It reads this variable when it is imported, so every package imports this one first.
os.environ.setdefault("NPY_DISABLE_CPU_FEATURES", "AVX512F AVX512_SKX")
