"""The text of the fine-tuning params files; $names are filled in by finetuning_recipes.py."""

FINETUNING = """\
# MediSwift-$title: fine-tuning on $task_title,
# dense, with a soft prompt. $num_parameters parameters.
#
# Data:  $prepare ... --max-sequence-length $length --num-virtual-tokens $num_tokens
#        --position $prompt_position --output data/$task
# Start: --checkpoint_path takes a pre-training checkpoint, sparse or dense. Masks are dropped,
#        pruned weights start at 0 and train. To keep the masks, add the sparsity block of the
#        pre-training file.
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
$model\
      # Fine-tuning
      soft_prompt:
        num_virtual_tokens: $num_virtual_tokens
        position: $position
        init: $init
      trainable: all  # Q; soft_prompt freezes everything else
$optimizer\
    # Linear warm-up, then the rate falls with 1 / sqrt(steps since then), at most the peak.
    schedulers:
    - SequentialLR:
        schedulers:
        - LinearLR:
            initial_learning_rate: 0.0
            end_learning_rate: $peak_learning_rate
            total_iters: $warmup_steps
        - InverseSquareRootDecayLR:
            initial_learning_rate: $peak_learning_rate
            scale: $scale
            warmup_steps: $warmup_steps
$precision    loop:
      max_steps: $max_steps
      eval_frequency: $eval_frequency
      eval_steps: null  # the whole validation set
    checkpoint:
      steps: $eval_frequency
      save_initial_checkpoint: false
    logging:
      log_steps: 10
    callbacks:
    # Of --checkpoint_path the weights are taken, and nothing else: the run starts at step 0.
    - LoadCheckpointStates:
        load_checkpoint_states: model
    - KeepNCheckpoints:
        n: $num_kept_checkpoints
$dataloaders"""
