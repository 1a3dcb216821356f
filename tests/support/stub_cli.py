"""The command line with a stand-in for the renderer: python -m support.stub_cli JOB render ... (JOB of jobs.py)."""

from __future__ import annotations

import functools
import os
import resource
import sys

from pipeline.cli import main as cli
from pipeline.run import render as render_run
from pipeline.workers.process import SceneFunctions
from support import jobs

if __name__ == "__main__":
    if "LARGEST_FILE" in os.environ:  # of the parent alone: workers are born before it is set
        limit = int(os.environ["LARGEST_FILE"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    functions = SceneFunctions(getattr(jobs, sys.argv.pop(1)))
    render_run.run_render = functools.partial(render_run.run_render, functions=functions)  # type: ignore[assignment]
    cli.main()
