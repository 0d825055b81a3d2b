"""Proof without torch that a converted file holds the source's numbers, bit for bit."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from mediswift_cs.checkpoints import lz4_chunks, number_formats
from mediswift_cs.checkpoints.blocks import Place
from mediswift_cs.checkpoints.hf_folder import HuggingFaceModel, puts_prompt_in_place
from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.names import LAYERS
from mediswift_cs.checkpoints.number_formats import Bits
from mediswift_cs.checkpoints.restore import new_state, restore_blocks
from mediswift_cs.checkpoints.sample_text import sample_ids
from mediswift_cs.checkpoints.source import PREFIX, Checkpoint
from mediswift_cs.params.weights import MASK_SUFFIX
from mediswift_cs.progress import progress

_QUERY = "self_attn.proj_q_dense_layer."


def stored_numbers(
    file: MdlFile, checkpoint: Checkpoint, name: str, rows: slice, dtype: str
) -> Bits:
    """Rows of a weight as an export in ``dtype`` has them: masked, scaled as GPT-2 is, rounded.

    Args:
        file: the open file of ``checkpoint``.
        name: of the weight, without the leading ``model.``.
    """
    tensor, factor = checkpoint.tensors[name], 1.0
    if name.startswith(f"{LAYERS}.") and _QUERY in name:
        layer = name.removeprefix(f"{LAYERS}.").partition(".")[0]
        factor = checkpoint.architecture.query_factor(int(layer))
    bits = np.array(lz4_chunks.read(file.numbers(tensor), rows))
    if mask := checkpoint.masks.get(name):
        kept = lz4_chunks.read(file.numbers(mask), rows).astype(np.bool_)
        # Zeros stay as they are, -0.0 too.
        bits[number_formats.is_nonzero(bits, tensor.dtype) > kept] = 0
    bits, kind = number_formats.multiplied(bits, tensor.dtype, factor)
    return number_formats.convert(bits, kind, dtype)


def different_tensor(checkpoint: Checkpoint, folder: HuggingFaceModel, dtype: str) -> str | None:
    """The first tensor of a ``.mdl`` file whose numbers a Hugging Face folder has otherwise.

    The folder is read in the direction of an import, whichever of the two was made of the other, so
    that a matrix in the wrong place or the wrong way round is noticed too. Blocks of a few
    megabytes are in memory.

    Args:
        dtype: number format of both.
    """
    # A tensor's name takes the place of the file that its blocks would go to.
    state = new_state(folder, dtype=dtype, tokenizer_sha256=None)["model"]
    places = {key: Place(path=Path(key), offset=0, dtype=new.dtype) for key, new in state.items()}
    num_rows: dict[str, int] = defaultdict(int)
    total = sum(new.num_bytes for new in state.values())
    bar = progress("verify", "B", total=total, stays=False)
    with bar, MdlFile(checkpoint.path) as file:
        for block in restore_blocks(folder, places, [], allow_nan=True):
            name = str(block.path).removeprefix(PREFIX)
            bar.update(block.numbers.nbytes)
            rows = slice(num_rows[name], num_rows[name] + len(block.numbers))
            num_rows[name] = rows.stop
            if name.endswith(MASK_SUFFIX):
                mask = checkpoint.masks[name.removesuffix(MASK_SUFFIX)]
                wanted = lz4_chunks.read(file.numbers(mask), rows).astype(np.bool_)
                if not np.array_equal(wanted, block.numbers.astype(np.bool_)):
                    return name
            elif stored_numbers(file, checkpoint, name, rows, dtype).tobytes() != (
                np.ascontiguousarray(block.numbers).tobytes()
            ):
                return name
    return None


def verify_bits(
    checkpoint: Checkpoint, folder: HuggingFaceModel, dtype: str, text_file: Path | None
) -> tuple[bool, str]:
    """Whether both hold the same numbers, and a line that says so."""
    if name := different_tensor(checkpoint, folder, dtype):
        return False, f"verified: NOT THE SAME - {name} has other numbers in {folder.folder}"
    ids = sample_ids(folder.folder, checkpoint.architecture.vocab_size, text_file)
    if not puts_prompt_in_place(folder, ids):
        lost = f"the tokenizer of {folder.folder} loses the soft prompt"
        return False, f"verified: NOT THE SAME - {lost}"
    return True, "verified: the same numbers, bit for bit, read back from both"
