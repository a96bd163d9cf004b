"""The content-addressed store: artifacts under keys, manifests, leases. It knows no recipe."""
