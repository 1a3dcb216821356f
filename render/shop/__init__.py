"""Labels of shops beyond products."""
