"""The conformance matrix: every option of every framework works, is refused, or means nothing.

`python -m tests.conformance` runs what is installed and writes docs/conformance.md.
"""
