"""Files that appear whole, what made them, checksums, locks, processes."""
