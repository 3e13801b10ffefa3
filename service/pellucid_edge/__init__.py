"""The edge: Envoy before the gateway, for browsers (gRPC-Web), curl (JSON) and native gRPC on one port."""
