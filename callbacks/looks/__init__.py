"""Callbacks that look into a trained generator, with pictures and scores."""
