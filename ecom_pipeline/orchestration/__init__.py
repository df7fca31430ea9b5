"""The Dagster shell: assets, checks, jobs, schedule, sensor, resources.

No logic lives here: an asset calls one function of the libraries or steps, records what it did, and describes the
result. Nothing below imports TensorFlow, Great Expectations or MLflow before a step runs.
"""
