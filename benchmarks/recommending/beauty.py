"""Amazon Beauty: `python -m benchmarks.recommending.beauty --seeds 0 1 2 [--model gru]`."""

from benchmarks.recommending.data import beauty
from benchmarks.recommending.protocol import main

if __name__ == "__main__":
    main(beauty, ("hr@10", "ndcg@10", "mrr@10"))
