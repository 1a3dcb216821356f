"""The command line and what ties the other folders together: jobs, verify, preview, doctor."""
