"""Thirty thousand daily series of three years: ours, LightGBM and AutoETS on the same data, in one run."""
