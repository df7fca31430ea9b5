"""From the long-form event tables to flat NumPy arrays with offsets: what sequence models read."""

from ecom_pipeline.sequences.user_sequences import EVENT_NAMES, UserSequences, load_user_sequences

__all__ = ["EVENT_NAMES", "UserSequences", "load_user_sequences"]
