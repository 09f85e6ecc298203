"""Pure functions of tensors: similarities, ranks, norms, masks, Sinkhorn-Knopp."""
