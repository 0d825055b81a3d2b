"""The parts that the pre-training and the fine-tuning params files have in common."""

# The decoder of a fine-tuning file is the pre-training file's, so that its checkpoints fit.
MODEL = """\
    model:
      name: $model_name
      # Embedding
      vocab_size: $vocab_size
      hidden_size: $hidden_size
      position_embedding_type: learned  # I
      max_position_embeddings: $max_position_embeddings
      share_embedding_weights: true  # I
      embedding_dropout_rate: $dropout_rate
      # Decoder (layer norm before each block)
      num_hidden_layers: $num_hidden_layers
      dropout_rate: $dropout_rate
      layer_norm_epsilon: $layer_norm_epsilon
      # Attention
      num_heads: $num_heads
      attention_type: scaled_dot_product  # I
      attention_dropout_rate: $dropout_rate
      use_projection_bias_in_attention: true  # I
      use_ffn_bias_in_attention: true  # I
      # Feed-forward
      filter_size: $filter_size
      nonlinearity: gelu  # I, the exact one
      use_ffn_bias: true  # I
      # Initialisation: cut at two standard deviations
      embedding_initializer:
        name: truncated_normal
        mean: 0.0
        std: $initializer_std
        a: $initializer_a
        b: $initializer_b
      initializer:
        name: truncated_normal
        mean: 0.0
        std: $initializer_std
        a: $initializer_a
        b: $initializer_b
      # Projections into the residual stream: std / sqrt(2 * num_hidden_layers)
      output_layer_initializer:
        name: truncated_normal
        mean: 0.0
        std: $output_std
        a: $output_a
        b: $output_b
      # Output and loss
      use_bias_in_output: false  # I
      loss_scaling: num_tokens  # the mean over the tokens that count
      loss_weight: 1.0
"""

OPTIMIZER = """\
    optimizer:
      AdamW:
        betas:
        - $adam_beta1
        - $adam_beta2
        eps: $adam_eps
        weight_decay: $weight_decay
        correct_bias: true
"""

PRECISION = {
    "CSX": """\
    precision:
      enabled: true
      fp16_type: cbfloat16  # D
      precision_opt_level: 1  # D
      loss_scaling_factor: dynamic  # cbfloat16 needs it
      max_gradient_norm: $max_gradient_norm
      log_loss_scale: true
""",
    "CPU": """\
    precision:
      enabled: false  # float32
      fp16_type: bfloat16
      loss_scaling_factor: 1.0
      max_gradient_norm: $max_gradient_norm
""",
}

DATALOADERS = """\
  fit:
    train_dataloader:
      data_processor: $data_processor
      data_dir: ./data/$folder/train
      max_sequence_length: $sample_length
      tokenizer_sha256: $tokenizer_sha256
      batch_size: $batch_size
      shuffle: true
      shuffle_seed: $shuffle_seed
      drop_last: true
      num_workers: $num_workers
      prefetch_factor: $prefetch_factor
      persistent_workers: true
    val_dataloader: &val_dataloader
      data_processor: $data_processor
      data_dir: ./data/$folder/val
      max_sequence_length: $sample_length
      tokenizer_sha256: $tokenizer_sha256
      batch_size: $batch_size
      shuffle: false
      drop_last: false
      num_workers: $num_workers
      prefetch_factor: $prefetch_factor
      persistent_workers: true
  validate:
    val_dataloader: *val_dataloader
  validate_all:
    val_dataloaders: *val_dataloader
"""
