"""From a configuration to a trained supernet: inputs, sizes, profile, plans, training."""
