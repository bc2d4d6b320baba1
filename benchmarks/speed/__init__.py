"""Time and memory: of a training step, of loading images, of scores, and of the large recipes."""
