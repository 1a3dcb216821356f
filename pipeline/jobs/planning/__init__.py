"""Planning of the scenes that a job renders next."""
