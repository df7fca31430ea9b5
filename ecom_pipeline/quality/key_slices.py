"""In how many slices a key is counted: memory stays flat, and small hash tables are faster too."""

ROWS_PER_PASS = 2_000_000
MOST_PASSES = 32
"""Each pass reads the key's columns again, so their number has a limit; beyond it slices grow and DuckDB spills."""


def key_passes(rows: int) -> int:
    """Slices (of the key's hash) in which the key of a table of so many rows is counted."""
    return max(1, min(-(-rows // ROWS_PER_PASS), MOST_PASSES))
