"""From data sets to packed rows: tokenising, mixtures, stored model outputs, packing."""
