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
$model$optimizer\
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
$dataloaders"""

SPARSITY = """\
    # Static: the masks are drawn once, the same fraction of zeros in each matrix.
    sparsity:
      sparsity: $level  # Q, the fraction of zeros
      init_method: random  # I
      param_filter:  # Q
$patterns
"""
