"""Reading of data sets for training and evaluation."""
