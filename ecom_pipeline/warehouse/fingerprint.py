"""A short name for what something was made with."""

import hashlib
from typing import Any


def fingerprint_of(*parts: Any) -> str:
    """A short hash of what describes a build."""
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:32]
