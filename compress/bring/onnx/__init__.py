"""ONNX files as networks in torch: what is in a file becomes a module that can be traced."""
