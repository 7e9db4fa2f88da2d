"""Activation functions and their look-up tables."""
