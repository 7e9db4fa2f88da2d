"""Recurrent and dense cells, each its textbook equations written once."""
