#!/bin/sh
# The rivals' own environment, benchmarks/.envs/recommending: they are compared with, never depended on.
set -eu
cd "$(dirname "$0")/.."
python3 -m venv .envs/recommending
.envs/recommending/bin/pip install --quiet "rectools[torch]==0.19.0" "pyarrow>=20"
