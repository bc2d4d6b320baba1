"""Callbacks that score samples and networks, each score with its protocol."""
