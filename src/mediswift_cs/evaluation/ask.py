"""One question at a time: the answer of a model, and how likely it finds each."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from mediswift_cs.checkpoints.convert import is_export
from mediswift_cs.checkpoints.hf_folder import HuggingFaceModel, read_huggingface
from mediswift_cs.checkpoints.mdl import MdlFile
from mediswift_cs.checkpoints.record import stored_params
from mediswift_cs.checkpoints.tokenizer_files import training_folder
from mediswift_cs.errors import CheckpointError, ConfigError, DataError
from mediswift_cs.evaluation.generate import generate
from mediswift_cs.evaluation.hf_model import load_hf_model
from mediswift_cs.evaluation.loading import LoadedModel, load_model
from mediswift_cs.evaluation.predict import Predictor, check_fit, make_predictor
from mediswift_cs.params.decoder import ModelParams
from mediswift_cs.tasks.prompt_folder import read_prompt_data, read_prompt_options
from mediswift_cs.tasks.prompt_layout import PromptLayout
from mediswift_cs.tasks.task import NO_LABEL
from mediswift_cs.tokens.manifest import find_manifest, read_manifest
from mediswift_cs.tokens.model_tokenizer import load_model_tokenizer
from mediswift_cs.tokens.tokenizer import EOS, vocab_size


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a model says to one question.

    Attributes:
        text: the label (several are joined), or the text as the model continues it.
        log_likelihood: of each choice, in nats, as evaluation scores it; of a set of labels, of the
            set that was chosen; empty for a continued text.
        num_cut: tokens at the end of the context that the model did not read.
    """

    question: str
    text: str
    log_likelihood: Mapping[str, float]
    num_cut: int = 0

    @property
    def probabilities(self) -> dict[str, float]:
        """Of each choice among all of them; empty where there are no choices."""
        if len(self.log_likelihood) < 2:
            return {}
        largest = max(self.log_likelihood.values())
        weights = {name: math.exp(s - largest) for name, s in self.log_likelihood.items()}
        return {name: weight / sum(weights.values()) for name, weight in weights.items()}

    def line(self) -> str:
        """The answer and its probabilities on one line of a terminal."""
        shown = [f"{name} {value:.3f}" for name, value in self.probabilities.items()]
        text = " ".join(self.text.split())
        return f"{text}  ({', '.join(shown)})" if shown else text

    def record(self) -> dict[str, Any]:
        """The answer as what ``--json`` prints on one line."""
        return {
            "question": self.question,
            "answer": self.text,
            "probabilities": self.probabilities,
            "log_likelihood": dict(self.log_likelihood),
            "num_cut": self.num_cut,
        }


@dataclass(frozen=True, kw_only=True)
class TaskAnswerer:
    """A model that was trained to answer one task."""

    predictor: Predictor
    note = ""

    @property
    def about(self) -> str:
        """What this model can be asked, in a few words."""
        task = self.predictor.task
        return f"{task.title}: {', '.join(task.labels)}"

    def answer(self, text: str, where: str, context: str = "") -> Answer:
        """The likeliest answer to a question.

        Args:
            where: what the question is called in an error.

        Raises:
            ConfigError: a context, where the task has none.
            DataError: without its context the question is too long for the model.
        """
        predictor = self.predictor
        example = replace(predictor.task.asked(text, context), id=where)
        source = predictor.layout.encode_source(predictor.tokenizer, example)
        (prediction,) = predictor.predict([example], "constrained")
        assert prediction.labels is not None, "a constrained answer is one of the task's"
        said = ", ".join(prediction.labels) or NO_LABEL
        return Answer(
            question=text,
            text=said,
            log_likelihood=prediction.scores,
            num_cut=source.num_cut,
        )


@dataclass(frozen=True, kw_only=True)
class Continuer:
    """A model that goes on with a text, its soft prompt (if any) in its place.

    Attributes:
        note: why it does, where something else may have been expected.
    """

    loaded: LoadedModel
    tokenizer: Tokenizer
    max_new_tokens: int
    note: str = ""

    about = "no task: each text is continued"

    def answer(self, text: str, where: str, context: str = "") -> Answer:
        """The likeliest next token, again and again.

        Args:
            context: text before it.

        Raises:
            DataError: nothing to go on with, or more than the model has positions for.
        """
        config = self.loaded.model.config
        whole = f"{context} {text}" if context else text
        ids = self.tokenizer.encode(whole, add_special_tokens=False).ids
        prompt = _layout(config, self.tokenizer).prompt(ids)
        if not 1 <= len(prompt) < config.max_position_embeddings:
            raise DataError(
                f"{where} has {len(prompt)} tokens, its soft prompt included, allowed: 1 to "
                f"{config.max_position_embeddings - 1}, to go on with at least one in the "
                f"max_position_embeddings {config.max_position_embeddings} of {self.loaded.path}"
            )
        (new,) = generate(
            self.loaded.model.model,
            [prompt],
            eos_id=self.tokenizer.token_to_id(EOS),
            max_new_tokens=self.max_new_tokens,
            num_text_ids=min(vocab_size(self.tokenizer), config.vocab_size),
        )
        return Answer(question=text, text=self.tokenizer.decode(new), log_likelihood={})


def _layout(config: ModelParams, tokenizer: Tokenizer) -> PromptLayout:
    """Where the soft prompt of a model goes that is asked nothing in particular."""
    prompt = config.soft_prompt
    return PromptLayout(
        vocab_size=config.vocab_size,
        eos_id=tokenizer.token_to_id(EOS),
        max_sequence_length=config.max_position_embeddings,
        num_answer_tokens=1,
        num_virtual_tokens=prompt.num_virtual_tokens if prompt else 0,
        position=prompt.position if prompt else "infix",
    )


@dataclass(frozen=True, kw_only=True)
class AskOptions:
    """What the command line says.

    Attributes:
        source: a ``.mdl`` file, or a Hugging Face folder.
        data: the examples of the task, where the source does not lead to them.
        max_new_tokens: of a text that is continued.
    """

    source: Path
    data: Path | None = None
    tokenizer: Path | None = None
    max_new_tokens: int = 64
    device: str = "cpu"


def open_model(options: AskOptions) -> TaskAnswerer | Continuer:
    """Load a model with what it can be asked.

    Raises:
        CheckpointError, DataError: unreadable, of another tokenizer, or not known by which one.
    """
    path = options.source
    if not is_export(path):
        return _open_folder(read_huggingface(path), options)
    with MdlFile(path) as file:
        params = stored_params(file.state)
    data = options.data or _training_data(params, path)
    loaded = load_model(path)
    loaded.model.to(options.device)
    manifest = None if data is None else read_manifest(data)
    if data is not None and manifest is not None and "prompt" in manifest.options:
        return _of_data(loaded, data, options)
    tokenizer = options.tokenizer
    if tokenizer is None and manifest is not None:
        tokenizer = manifest.folder / manifest.tokenizer.file
    return _continuer(loaded, tokenizer, options, loaded.model.config.name)


def _open_folder(folder: HuggingFaceModel, options: AskOptions) -> TaskAnswerer | Continuer:
    loaded = load_hf_model(folder)
    loaded.model.to(options.device)
    if options.data is not None:
        return _of_data(loaded, options.data, options)
    path = options.tokenizer or folder.folder
    noted = folder.own.get("prompt")
    if noted is None:
        return _continuer(loaded, path, options, folder.own.get("model", {}).get("name"))
    tokenizer = _tokenizer(loaded, path)
    where = f"the task that config.json of {folder.folder} describes"
    layout, task = read_prompt_options(noted, where, eos_id=tokenizer.token_to_id(EOS))
    check_fit(loaded, layout, 0, f"the {task.title} of {loaded.path}")
    return TaskAnswerer(
        predictor=Predictor(
            decoder=loaded.model.model, tokenizer=tokenizer, layout=layout, task=task
        )
    )


def _of_data(loaded: LoadedModel, data: Path, options: AskOptions) -> TaskAnswerer:
    if options.tokenizer is not None:
        raise ConfigError(
            f"--tokenizer: got {options.tokenizer}, allowed: nothing, as the examples in {data} "
            f"have their own"
        )
    return TaskAnswerer(predictor=make_predictor(loaded, read_prompt_data(data)))


def _tokenizer(loaded: LoadedModel, path: Path) -> Tokenizer:
    size = loaded.model.config.vocab_size
    return load_model_tokenizer(path, loaded.tokenizer_sha256, num_rows=size, trained=loaded.path)


def _continuer(
    loaded: LoadedModel, path: Path | None, options: AskOptions, name: str | None
) -> Continuer:
    if path is None:
        raise CheckpointError(
            f"the tokenizer of {loaded.path} is not known here, as its training data is not: give "
            f"--tokenizer FILE, or --data FOLDER with the examples of its task"
        )
    note = ""
    if name == "mediswift_finetuning":
        note = (
            f"the task of {loaded.path} is not known here, so texts are continued; --data FOLDER "
            f"gives the examples that it was trained on"
        )
    return Continuer(
        loaded=loaded,
        tokenizer=_tokenizer(loaded, path),
        max_new_tokens=options.max_new_tokens,
        note=note,
    )


def _training_data(params: Mapping[str, Any], checkpoint: Path) -> Path | None:
    """The folder that a run was trained on, from here or from a folder above its checkpoint."""
    name = training_folder(params)
    if name is None:
        return None
    folders = [base / name for base in (Path(), *checkpoint.absolute().parents)]
    return next((folder for folder in folders if find_manifest(folder)), None)
