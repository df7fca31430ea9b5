#!/bin/sh
# The rival's own environment, benchmarks/.envs/peers: it is compared with, never depended on.
# dbt-core 1.12 downloads a parser from GitHub while it is installed; 1.11 does not.
set -eu
cd "$(dirname "$0")/.."
python3 -m venv .envs/peers
.envs/peers/bin/pip install --quiet "dbt-duckdb==1.11.1" "dbt-core>=1.11,<1.12" "duckdb==1.5.6"
