"""The traced graph of exact fixed-point operations, and its interpretations in NumPy."""
