"""Experiments: what a paper claims of its system, measured here, with the picture that shows it."""
