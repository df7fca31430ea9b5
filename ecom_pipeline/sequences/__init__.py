"""Flat NumPy arrays with offsets: the one form in which models read what users did."""

from ecom_pipeline.sequences.event_sequences import (
    UNKNOWN,
    EventSequences,
    IdTypeError,
    Vocabulary,
    offsets_of,
    ranges,
)

__all__ = ["UNKNOWN", "EventSequences", "IdTypeError", "Vocabulary", "offsets_of", "ranges"]
