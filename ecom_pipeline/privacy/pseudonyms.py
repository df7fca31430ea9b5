"""Keyed hashes in the place of user ids, for everything that is published (the setting hash_user_ids).

The key comes from the environment and is kept nowhere: with the same key a user has the same hash every night, without
it nobody gets back to the id.
"""

import hashlib
import hmac
import os
from collections.abc import Iterable

import pyarrow as pa

from ecom_pipeline.settings import Settings

KEY_VARIABLE = "ECOM_PIPELINE_HASH_KEY"
SHORTEST_KEY = 16
LENGTH = 32
"""Hexadecimal digits of a hash: 128 bits, so that no two users share one."""


class PrivacyError(RuntimeError):
    """Something personal cannot be protected as the settings ask; the message says what to do."""


def hash_key(settings: Settings) -> bytes | None:
    """The key, if the settings ask for hashed user ids.

    Raises:
        PrivacyError: if the environment has no key, or one that can be guessed. The key is never shown.
    """
    if not settings.hash_user_ids:
        return None
    key = os.environ.get(KEY_VARIABLE, "").encode()
    if len(key) < SHORTEST_KEY:
        raise PrivacyError(
            f"the setting hash_user_ids needs a key of at least {SHORTEST_KEY} characters in the environment variable "
            f"{KEY_VARIABLE}, which {'is not set' if not key else 'is shorter'}; nothing was published. "
            "Make one with: python -c 'import secrets; print(secrets.token_hex(32))'"
        )
    return key


def pseudonym(user_id: str, key: bytes) -> str:
    """The hash that stands for a user."""
    return hmac.new(key, user_id.encode(), hashlib.sha256).hexdigest()[:LENGTH]


def pseudonyms(user_ids: Iterable[str], key: bytes) -> pa.Table:
    """A table user_id, hashed of all of them."""
    listed = list(user_ids)
    return pa.table({"user_id": pa.array(listed, pa.string()), "hashed": [pseudonym(one, key) for one in listed]})
