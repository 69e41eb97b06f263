"""Where a model keeps what it knows: layers, neurons, causal states."""
