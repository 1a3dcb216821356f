"""What a job renders next."""
