"""The embedded Triton Inference Server: environment, launcher, python-based backends, health and clean-up."""
