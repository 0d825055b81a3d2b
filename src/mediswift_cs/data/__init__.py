"""From shards and task examples to batches; the classes that ModelZoo calls data processors."""
