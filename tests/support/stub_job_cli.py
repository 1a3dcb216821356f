"""The command line with stand-ins for scenes of jobs: python -m support.stub_job_cli SCENE job run ..."""

from __future__ import annotations

import functools
import sys

from pipeline.cli import main as cli
from pipeline.jobs import run as job_run
from pipeline.workers.process import SceneFunctions
from support import job_stubs

if __name__ == "__main__":
    functions = SceneFunctions(getattr(job_stubs, sys.argv.pop(1)))
    job_run.run_job = functools.partial(job_run.run_job, functions=functions, share=0.8)  # type: ignore[assignment]
    cli.main()
