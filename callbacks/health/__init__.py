"""Callbacks that watch how training goes, and warn."""
