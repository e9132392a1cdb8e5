"""From a network that a user brings to a space of its pruned and quantized versions."""
