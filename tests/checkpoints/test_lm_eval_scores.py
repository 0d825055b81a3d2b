"""Scoring of exports by lm-evaluation-harness."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from mediswift_cs.checkpoints.convert import convert
from mediswift_cs.tokens.tokenizer import load_tokenizer

from .small_checkpoints import UNVERIFIED, build_decoder, save, state_of


@pytest.fixture
def export(tmp_path: Path, tokenizer_file: Path) -> Path:
    source = save(tmp_path / "a.mdl", state_of(build_decoder()))
    options = replace(UNVERIFIED, has_tokenizer=True, tokenizer=tokenizer_file)
    convert(source, tmp_path / "export", options)
    return tmp_path / "export"


@torch.no_grad()
def test_lm_eval_scores_the_export(export: Path, tokenizer_file: Path) -> None:
    """Log-likelihoods from lm-eval's own loader equal those of our decoder."""
    reason = "lm-eval is not installed: pip install -e '.[lm-eval]' -c constraints/lm-eval.txt"
    pytest.importorskip("lm_eval", reason=reason)
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    scorer: Any = HFLM(pretrained=str(export), device="cpu", dtype="float32", batch_size=1)
    pairs = [("Serum creatinine", " and urinary albumin"), ("The drug", " slowed the loss")]
    requests = [
        Instance(request_type="loglikelihood", doc={}, arguments=pair, idx=index)
        for index, pair in enumerate(pairs)
    ]
    found = [value for value, _ in scorer.loglikelihood(requests)]
    model, tokenizer = build_decoder(), load_tokenizer(tokenizer_file)
    for (context, continuation), value in zip(pairs, found, strict=True):
        start = len(tokenizer.encode(context).ids)
        ids = tokenizer.encode(context + continuation).ids
        scores = model(torch.tensor([ids]))[0].log_softmax(-1)
        expected = sum(float(scores[i - 1, ids[i]]) for i in range(start, len(ids)))
        assert value == pytest.approx(expected, abs=1e-4)
        assert value != pytest.approx(expected * 1.001, abs=1e-4)
