"""Trajectory tables on cases that were worked out by hand, one module a subject."""
