"""Numbers in, a frozen result out: NumPy, SciPy and pandas only."""
