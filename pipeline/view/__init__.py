"""`synth view`: static pages that show a data set: a grid to filter, each picture with its layers, distributions."""
