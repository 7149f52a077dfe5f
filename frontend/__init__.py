"""Front ends: model files to graphs, and graphs back to (Q)ONNX."""
