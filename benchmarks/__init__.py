"""What the benchmark networks of the field cost here: `python -m benchmarks --help`."""
