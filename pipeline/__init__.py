"""The command line and what ties the other folders together: jobs, verify, preview, doctor."""

import assets as assets  # before numpy
