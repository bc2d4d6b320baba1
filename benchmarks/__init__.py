"""Measurements: `speed` measures time and memory, `experiments` measures what systems learn, `results` keeps records.

Each module is run from a checkout of the repository, such as `python -m benchmarks.speed.training_step`.
"""
