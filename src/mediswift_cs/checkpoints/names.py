"""Names of tensors in ModelZoo's GPT-2/3, where more than one file needs them."""

WORD_EMBEDDINGS = "embedding_layer.word_embeddings.weight"
POSITION_EMBEDDINGS = "embedding_layer.position_embeddings.embed.weight"
LAYERS = "transformer_decoder.layers"
SOFT_PROMPT = "soft_prompt.weight"
# The head and the second name of the last norm: other names of tensors above.
HEAD = "lm_head.weight"
FINAL_NORM_ALIAS = "ln_f"
