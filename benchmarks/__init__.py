"""What docs/benchmarks.md reports, each figure by one command."""
