"""Where tests find the real shop data that is not part of the repository."""

import os
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]


def shared_data(*parts: str) -> Path:
    """Path of a real data file or folder: below $ECOM_SHARED_DATA, else ../shared/data beside the checkout.

    Absent data fails the test in CI and skips it, with the reason, elsewhere.
    """
    root = Path(os.environ.get("ECOM_SHARED_DATA", CHECKOUT.parent / "shared" / "data"))
    path = root.joinpath(*parts)
    if path.exists():
        return path
    reason = f"real data not found: {path} (set ECOM_SHARED_DATA to the folder that holds it)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)
