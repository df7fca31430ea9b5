"""Tests of the nightly report."""
