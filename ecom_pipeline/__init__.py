"""ecom_pipeline: every night, a shop's exports in; forecasts and recommendations in DuckDB out."""

import os

# NumPy's BLAS on one thread, unless the environment says otherwise: the products here are small, a second thread waits
# for the first by spinning, and on a busy machine that costs several times the work itself. NumPy reads it when it is
# imported, so it has to stand here.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

__version__ = "0.1.0"
