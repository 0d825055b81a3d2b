"""A model of transformers that computes the same."""

import torch
from transformers import GPT2Config, GPT2LMHeadModel

from mediswift_cs.model.decoder import DecoderLanguageModel


def huggingface_twin(model: DecoderLanguageModel, activation: str = "gelu") -> GPT2LMHeadModel:
    """A GPT-2 of transformers with the weights of ``model``."""
    config = model.config
    twin = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=config.vocab_size,
            n_positions=config.max_position_embeddings,
            n_embd=config.hidden_size,
            n_layer=config.num_hidden_layers,
            n_head=config.num_heads,
            n_inner=config.filter_size,
            activation_function=activation,
            attn_pdrop=0.0,
            embd_pdrop=0.0,
            resid_pdrop=0.0,
        )
    ).eval()

    def copy(target: torch.Tensor, *sources: torch.Tensor) -> None:
        # transformers' Conv1D keeps [in, out].
        joined = torch.cat(sources, dim=0)
        target.data.copy_(joined.t() if joined.dim() == 2 else joined)

    twin.transformer.wte.weight.data.copy_(model.embedding_layer.word_embeddings.weight)
    twin.transformer.wpe.weight.data.copy_(model.embedding_layer.position_embeddings.embed.weight)
    for theirs, ours in zip(twin.transformer.h, model.transformer_decoder.layers, strict=True):
        for part in ("weight", "bias"):
            getattr(theirs.ln_1, part).data.copy_(getattr(ours.norm1, part))
            getattr(theirs.ln_2, part).data.copy_(getattr(ours.norm3, part))
            attn = ours.self_attn
            projections = (
                attn.proj_q_dense_layer,
                attn.proj_k_dense_layer,
                attn.proj_v_dense_layer,
            )
            copy(getattr(theirs.attn.c_attn, part), *(getattr(p, part) for p in projections))
            copy(
                getattr(theirs.attn.c_proj, part),
                getattr(attn.proj_output_dense_layer, part),
            )
            copy(getattr(theirs.mlp.c_fc, part), getattr(ours.ffn.ffn[0].linear_layer, part))
            copy(getattr(theirs.mlp.c_proj, part), getattr(ours.ffn.ffn[1].linear_layer, part))
    for part in ("weight", "bias"):
        getattr(twin.transformer.ln_f, part).data.copy_(getattr(model.ln_f, part))
    return twin
