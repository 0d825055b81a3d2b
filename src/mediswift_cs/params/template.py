"""The text of the pre-training params files; $names are filled in by recipes.py."""

PRETRAINING = """\
# MediSwift-$title: $num_parameters parameters, pre-training on PubMed,
# $sparsity_title, $num_tokens tokens.
#
# Marks: Q quoted, C computed from quoted, I inferred, D our default (docs/deviations.md).
# Rendered from src/mediswift_cs/sizes.py: change it there, then
# python -m mediswift_cs.params --write

trainer:
  init:
    backend:
      backend_type: $backend_type
    # Checkpoints and logs; the newest checkpoint in it is loaded. One folder for each run.
    model_dir: ./model_dir
    seed: $seed
    model:
      name: mediswift
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
    optimizer:
      AdamW:
        betas:
        - $adam_beta1
        - $adam_beta2
        eps: $adam_eps
        weight_decay: $weight_decay
        correct_bias: true
    # Linear warm-up, then cosine decay; the two lengths add up to max_steps.
    schedulers:
    - SequentialLR:
        schedulers:
        - LinearLR:
            initial_learning_rate: 0.0
            end_learning_rate: $peak_learning_rate
            total_iters: $warmup_steps
        - CosineDecayLR:
            initial_learning_rate: $peak_learning_rate
            end_learning_rate: $end_learning_rate
            total_iters: $decay_steps
$precision$sparsity    loop:
      max_steps: $max_steps
      eval_frequency: $eval_frequency
      eval_steps: null  # the whole validation set
    checkpoint:
      steps: $checkpoint_steps
      save_initial_checkpoint: false
    logging:
      log_steps: $log_steps
    callbacks:
    - KeepNCheckpoints:
        n: $num_kept_checkpoints
  fit:
    train_dataloader:
      data_processor: MediSwiftPretrainingDataProcessor
      data_dir: ./data/pubmed/train
      max_sequence_length: $max_position_embeddings
      tokenizer_sha256: $tokenizer_sha256
      batch_size: $batch_size
      shuffle: true
      shuffle_seed: $shuffle_seed
      drop_last: true
      num_workers: $num_workers
      prefetch_factor: $prefetch_factor
      persistent_workers: true
    val_dataloader: &val_dataloader
      data_processor: MediSwiftPretrainingDataProcessor
      data_dir: ./data/pubmed/val
      max_sequence_length: $max_position_embeddings
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

SPARSITY = """\
    # Static: the masks are drawn once, the same fraction of zeros in each matrix.
    sparsity:
      sparsity: $level  # Q, the fraction of zeros
      init_method: random  # I
      param_filter:  # Q
$patterns
"""
