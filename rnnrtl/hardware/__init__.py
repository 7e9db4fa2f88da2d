"""Lowering of a scheduled graph to Amaranth."""
