"""Documents -> fixed-length HDF5 shards with a manifest, and the tokenizer between them."""
