"""The command line: the same jobs as in the Dagster UI, from a terminal, and what only a terminal needs.

One module a group of commands; what they share (failures, the observer that draws progress) is beside them. Heavy
imports happen inside commands, so that `--help` answers at once.
"""

from ecom_pipeline.cli.app import app, main

__all__ = ["app", "main"]
