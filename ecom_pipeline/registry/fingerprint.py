"""A hash of the data that a model learnt from."""

import hashlib

import pandas as pd


def fingerprint(frame: pd.DataFrame) -> str:
    """Sixteen hexadecimal digits that follow from the columns and rows of a frame, in their order."""
    digest = hashlib.sha256(",".join(frame.columns).encode())
    digest.update(pd.util.hash_pandas_object(frame, index=False).to_numpy().tobytes())
    return digest.hexdigest()[:16]
