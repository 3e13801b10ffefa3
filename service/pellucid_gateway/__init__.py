"""The gRPC gateway: axis arithmetic and image generation over Triton Inference Server."""
