"""The main job on real input: top tagging with trained networks."""
