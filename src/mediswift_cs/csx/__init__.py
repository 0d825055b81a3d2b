"""``--validate_only``: the compile check for a CS-2, on this machine and without a cluster."""
