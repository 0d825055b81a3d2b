"""Raw records of the literature -> documents, with counts of what was left out and why."""
