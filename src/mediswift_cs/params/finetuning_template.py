"""The text of the fine-tuning params files; $names are filled in by finetuning_recipes.py."""

from mediswift_cs.params.template import PRETRAINING

_MODEL_START, _MODEL_END = "    model:\n", "    optimizer:\n"

# The decoder is the pre-training file's, word for word, so that its checkpoints fit.
_MODEL = PRETRAINING[PRETRAINING.index(_MODEL_START) : PRETRAINING.index(_MODEL_END)].replace(
    "name: mediswift\n", "name: mediswift_finetuning\n"
)

_HEAD = """\
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
"""

_TAIL = """\
      # Fine-tuning
      soft_prompt:
        num_virtual_tokens: $num_virtual_tokens
        position: $position
        init: $init
      trainable: all  # Q; soft_prompt freezes everything else
    optimizer:
      AdamW:
        betas:
        - $adam_beta1
        - $adam_beta2
        eps: $adam_eps
        weight_decay: $weight_decay
        correct_bias: true
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
  fit:
    train_dataloader:
      data_processor: MediSwiftPromptDataProcessor
      data_dir: ./data/$task/train
      max_sequence_length: $max_sequence_length
      tokenizer_sha256: $tokenizer_sha256
      batch_size: $batch_size
      shuffle: true
      shuffle_seed: $shuffle_seed
      drop_last: true
      num_workers: $num_workers
      prefetch_factor: $prefetch_factor
      persistent_workers: true
    val_dataloader: &val_dataloader
      data_processor: MediSwiftPromptDataProcessor
      data_dir: ./data/$task/val
      max_sequence_length: $max_sequence_length
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

FINETUNING = _HEAD + _MODEL + _TAIL
