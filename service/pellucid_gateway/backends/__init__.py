"""What computes: Triton, or a fake whose results can be worked out by hand."""
