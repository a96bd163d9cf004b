"""From data sets to packed rows: token sets, mixtures, packing."""
