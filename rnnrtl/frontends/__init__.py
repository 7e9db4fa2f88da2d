"""Readers of trained networks: one module a source."""
