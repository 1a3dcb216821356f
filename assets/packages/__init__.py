"""Package models generated from sizes and packshots."""
