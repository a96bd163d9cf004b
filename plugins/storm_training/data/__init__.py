"""From data sets to packed rows: token sets, what other models say of them, mixtures, packing."""
