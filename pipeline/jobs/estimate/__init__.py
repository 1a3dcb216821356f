"""Cost of a job, estimated before it begins."""
