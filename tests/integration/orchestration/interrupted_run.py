"""Runs a policies file in this process, as a step does; Ctrl-C interrupts it."""

import signal
import sys
from pathlib import Path

import dagster as dg

from ops_pipeline.maintenance import kinds
from ops_pipeline.orchestration.definitions import build_definitions

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored when a script has started this process
job = build_definitions(kinds.load(Path(sys.argv[1]))).resolve_job_def("nightly_app")
with dg.DagsterInstance.ephemeral() as instance:
    job.execute_in_process(instance=instance, raise_on_error=False)
