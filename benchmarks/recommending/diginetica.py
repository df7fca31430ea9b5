"""Diginetica: `python -m benchmarks.recommending.diginetica --seeds 0 1 2 [--model gru]`."""

from benchmarks.recommending.data import diginetica
from benchmarks.recommending.protocol import main

if __name__ == "__main__":
    main(diginetica, ("hr@20", "mrr@20", "ndcg@20"))
