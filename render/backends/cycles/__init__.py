"""The path-traced backend: Cycles through Blender's Python module."""
