"""Accuracy and speed of the sales forecaster against its rivals, each figure by one command."""
