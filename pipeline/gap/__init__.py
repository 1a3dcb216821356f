"""The distance of a rendered set from photographs: factor by factor, by a classifier and in a feature space."""
