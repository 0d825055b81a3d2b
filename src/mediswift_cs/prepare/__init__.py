"""All of PubMed and PubMed Central -> documents, a tokenizer and shards, in parts that restart."""
