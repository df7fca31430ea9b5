"""Tests of scenarios and reorder suggestions."""
