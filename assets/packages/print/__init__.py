"""What is printed on packages: labels, lettering, small print."""
