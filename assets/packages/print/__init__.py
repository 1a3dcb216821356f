"""Print on packages: labels, lettering, small print."""
