"""From published checkpoints to a model repository: families, graphs, checks, axes."""
