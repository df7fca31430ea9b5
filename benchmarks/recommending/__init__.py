"""Benchmarks of the next-item models; each row of docs/benchmarks.md is one command."""
