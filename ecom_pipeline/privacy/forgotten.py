"""Who was forgotten: keyed hashes of their ids, so that files that come again do not bring them back.

The list holds no id. Its key is random and lies beside it, so whoever has the list can tell whether an id that he knows
is in it, and no more; the file is readable by its owner alone.
"""

import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ecom_pipeline.settings import Home

LIST_FILE = "forgotten.json"


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The list of one home."""

    key: bytes
    hashes: frozenset[str]

    def hash_of(self, user_id: str) -> str:
        """What stands for an id in the list and in receipts."""
        return hmac.new(self.key, user_id.encode(), hashlib.sha256).hexdigest()

    def among(self, user_ids: Iterable[str]) -> frozenset[str]:
        """Those of the ids that were forgotten."""
        return frozenset(user_id for user_id in user_ids if self.hash_of(user_id) in self.hashes)


def privacy_folder(home: Home) -> Path:
    """Where the list and the receipts lie."""
    return home.root / "privacy"


def forgotten_of(home: Home) -> Forgotten | None:
    """The list of a home; None where nobody was forgotten."""
    file = privacy_folder(home) / LIST_FILE
    if not file.exists():
        return None
    kept = json.loads(file.read_text(encoding="utf-8"))
    return Forgotten(bytes.fromhex(kept["key"]), frozenset(kept["hashes"]))


def add_to_list(home: Home, user_id: str) -> Forgotten:
    """Enter an id, durably; the list as it is then."""
    known = forgotten_of(home) or Forgotten(secrets.token_bytes(32), frozenset())
    grown = Forgotten(known.key, known.hashes | {known.hash_of(user_id)})
    folder = privacy_folder(home)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    incoming = folder / f".{LIST_FILE}.{os.getpid()}"
    with os.fdopen(os.open(incoming, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump({"key": grown.key.hex(), "hashes": sorted(grown.hashes)}, file)
        file.flush()
        os.fsync(file.fileno())
    incoming.replace(folder / LIST_FILE)
    return grown
