"""Fixed-point formats and their arithmetic."""
