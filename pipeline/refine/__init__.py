"""Rendered data sets made to look like photographs: `synth refine`."""
