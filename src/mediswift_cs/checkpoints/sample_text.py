"""What models are compared on: a text written for this package, free for any use, and its ids."""

from pathlib import Path

import numpy as np

from mediswift_cs.errors import CheckpointError, DataError
from mediswift_cs.storage.read import read_text
from mediswift_cs.tokens.tokenizer import load_tokenizer

NUM_TOKENS = 128

SAMPLE_TEXT = """\
Background: Chronic kidney disease raises the risk of heart failure, but few trials have looked at
older adults who take several drugs at once. Methods: We followed 412 patients (mean age 71.3
years, 54% women) for 24 months. Serum creatinine, urinary albumin and blood pressure (mmHg) were
measured every 12 weeks; the primary outcome was a 40% fall of the estimated glomerular filtration
rate. Results: The outcome occurred in 38 of 206 treated patients and in 57 of 206 controls (hazard
ratio 0.63, 95% CI 0.42-0.95; p=0.027). TGF-beta1 and IL-6 were lower after treatment, and no
difference in hyperkalaemia was seen. Conclusions: In this sample the drug slowed the loss of renal
function. Larger studies must show whether it also prevents dialysis.
"""


def sample_ids(folder: Path, vocab_size: int, text_file: Path | None) -> list[int]:
    """Ids of a text, or without a tokenizer ids from all over the vocabulary."""
    try:
        tokenizer = load_tokenizer(folder)
    except DataError as error:
        if text_file is not None:
            raise CheckpointError(
                f"--verify-text: got {text_file}, allowed: nothing, as {folder} has no usable "
                f"tokenizer ({error})"
            ) from error
        generator = np.random.default_rng(0)
        return [int(token) for token in generator.integers(0, vocab_size, NUM_TOKENS)]
    text = SAMPLE_TEXT
    if text_file is not None:
        text = read_text(text_file, lambda what: CheckpointError(f"--verify-text: {what}"))
    if not (ids := tokenizer.encode(text, add_special_tokens=False).ids[:NUM_TOKENS]):
        raise CheckpointError(f"--verify-text {text_file} is empty")
    return [int(token) for token in ids]
