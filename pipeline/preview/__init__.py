"""Contact sheets of data sets with their labels drawn in."""
