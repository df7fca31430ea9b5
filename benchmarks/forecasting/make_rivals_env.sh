#!/bin/sh
# The rivals' own environment, benchmarks/.envs/forecasting: they are compared with, never depended on.
set -eu
cd "$(dirname "$0")/.."
python3 -m venv .envs/forecasting
.envs/forecasting/bin/pip install --quiet "lightgbm>=4.6,<5" "statsforecast>=2.0.3,<3" "pandas>=3,<4" \
    "pyarrow>=20" scikit-learn
.envs/forecasting/bin/pip install --quiet --no-deps "ddop==0.7.6" # for its data sets alone
