"""Seeing the gateway: metrics, traces, logs and the admin port."""
