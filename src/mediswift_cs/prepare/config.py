"""The settings of ``mediswift prepare``, read from YAML and checked before any work."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from mediswift_cs.corpora.cleaning import Cleaning
from mediswift_cs.corpora.data_set import DataSet
from mediswift_cs.corpora.duplicates import NearDuplicates
from mediswift_cs.corpora.fetch import PMC_ADDRESS, PUBMED_ADDRESS
from mediswift_cs.corpora.selection import ArticleSelection, Selection
from mediswift_cs.corpora.text_options import TextOptions
from mediswift_cs.errors import ConfigError
from mediswift_cs.params.document import read_yaml

# What happens to retracted articles and to notices (retractions, errata, expressions of concern).
Corrections = Literal["drop_retracted_and_notices", "drop_retracted", "drop_notices", "keep_all"]
# What of them is kept, as both kinds of selection say it.
_KEPT: dict[str, dict[str, bool]] = {
    "drop_retracted_and_notices": {},
    "drop_retracted": {"notices": True},
    "drop_notices": {"retracted": True},
    "keep_all": {"retracted": True, "notices": True},
}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Inputs(_Section):
    """``limit``: read the first records of all the files only, as one part."""

    inputs: tuple[Path, ...] = ()
    limit: int | None = Field(default=None, ge=1)

    def options(self) -> dict[str, Any]:
        """The settings that decide what is read from a file, as JSON."""
        return self.model_dump(mode="json", exclude={"inputs", "files_per_part"})


class PubmedSettings(_Inputs):
    """PubMed records: which files, and which records of them."""

    title_only: bool = False
    other_languages: bool = False
    corrections: Corrections = "drop_retracted_and_notices"

    def selection(self) -> Selection:
        """The records that :func:`mediswift_cs.corpora.pubmed.read_pubmed` gives and that count."""
        return Selection(
            title_only=self.title_only,
            other_languages=self.other_languages,
            **_KEPT[self.corrections],
        )


class PmcSettings(TextOptions, _Inputs):
    """PMC articles: which files, which licences, and which parts of an article are text."""

    licences: tuple[Literal["commercial", "non-commercial", "other"], ...] = ("commercial",)
    other_languages: bool = False
    corrections: Corrections = "drop_retracted_and_notices"
    files_per_part: int = Field(default=2000, ge=1)

    def selection(self) -> ArticleSelection:
        """The articles that :func:`mediswift_cs.corpora.pmc.read_pmc` gives and that count."""
        return ArticleSelection(
            licences=self.licences,
            other_languages=self.other_languages,
            **_KEPT[self.corrections],
        )


class DedupSettings(_Section):
    """Which texts count as the same, and what happens to an abstract beside its full text."""

    exact: bool = True
    near: bool = True
    threshold: float = 0.8
    num_perm: int = 128
    ngram: int = 5
    abstracts_of_full_texts: Literal["drop", "keep"] = "drop"

    def near_duplicates(self) -> NearDuplicates:
        """How :mod:`mediswift_cs.corpora.duplicates` finds near duplicates."""
        return NearDuplicates(threshold=self.threshold, num_perm=self.num_perm, ngram=self.ngram)


class GuardSettings(_Section):
    """What must not be in the corpus because models are tested on it.

    ``pmids``: block the articles of the shipped list; ``texts``: benchmark files whose near copies
    are found.
    """

    pmids: bool = True
    pmid_files: tuple[Path, ...] = ()
    texts: tuple[Path, ...] = ()
    ngram: int = Field(default=13, ge=1)
    overlap: float = Field(default=0.5, gt=0, le=1)
    near_copies: Literal["drop", "report"] = "drop"


class TokenizerSettings(_Section):
    """A tokenizer to take (``path``), or how to train one."""

    path: Path | None = None
    vocab_size: int = Field(default=28_896, ge=257)
    min_frequency: int = Field(default=2, ge=1)
    max_documents: int = Field(default=1_000_000, ge=1)


class Hdf5Settings(_Section):
    """Settings of the stage hdf5: how samples are spread over shards."""

    max_sequence_length: int = Field(default=2048, ge=1)
    val_fraction: float = Field(default=0.05, ge=0, lt=1)
    samples_per_shard: int = Field(default=8192, ge=1)


class EngineSettings(_Section):
    """Where the parts are worked on. ``workers`` null: one for each core."""

    name: Literal["process", "dask"] = "process"
    workers: int | None = Field(default=None, ge=1)
    scheduler: str | None = None


# Where texts come from; each kind has its section of the settings under its name.
Kind = Literal["pubmed", "pmc", "dataset"]


class FetchSettings(_Section):
    """What to fetch beforehand: folders to fetch into; null: nothing."""

    pubmed: Path | None = None
    pubmed_address: str = PUBMED_ADDRESS
    pmc: Path | None = None
    pmc_address: str = PMC_ADDRESS
    pmc_list: str | None = None
    connections: int = Field(default=3, ge=1, le=32)


class PrepareSettings(_Section):
    """The whole file. Relative paths are relative to the working directory."""

    output: Path
    fetch: FetchSettings = FetchSettings()
    pubmed: PubmedSettings = PubmedSettings()
    pmc: PmcSettings = PmcSettings()
    dataset: DataSet = DataSet()
    clean: Cleaning = Cleaning()
    dedup: DedupSettings = DedupSettings()
    guard: GuardSettings = GuardSettings()
    tokenizer: TokenizerSettings = TokenizerSettings()
    hdf5: Hdf5Settings = Hdf5Settings()
    engine: EngineSettings = EngineSettings()

    def section(self, kind: Kind) -> PubmedSettings | PmcSettings | DataSet:
        """What the settings say of the inputs of one kind."""
        if kind == "dataset":
            return self.dataset
        return self.pubmed if kind == "pubmed" else self.pmc

    @field_validator("fetch", "pubmed", "pmc", "dataset", "guard", mode="before")
    @classmethod
    def _empty_section(cls, value: object) -> object:
        return {} if value is None else value


# What pydantic's errors are called by those who write YAML.
_YAML_TERMS = {
    "tuple_type": "must be a list, such as [data/a, data/b]",
    "model_type": "must be a mapping of settings",
    "model_attributes_type": "must be a mapping of settings",
    "dict_type": "must be a mapping of settings",
    "missing": "must be given",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "string_type": "must be text",
    "path_type": "must be a path",
}


def _in_yaml_terms(error: Mapping[str, Any]) -> str:
    """One sentence of an error of pydantic's: which setting, what is allowed, what it was."""
    kind, place = error["type"], [str(name) for name in error["loc"]]
    if kind == "missing":
        return f"{'.'.join(place)}: {_YAML_TERMS[kind]}"
    if kind == "extra_forbidden":
        section = _section(place[:-1])
        what = f"no such setting, there are: {', '.join(section.model_fields)}"
    else:
        what = _YAML_TERMS.get(kind, error["msg"].replace("Input should be", "must be"))
    value = "null" if error["input"] is None else repr(error["input"])
    return f"{'.'.join(place)}: {what}, got {value:.80}"


def _section(place: Sequence[str]) -> type[BaseModel]:
    """The class of the settings that stand at a place of the file."""
    section: type[BaseModel] = PrepareSettings
    for name in place:
        section = cast(type[BaseModel], section.model_fields[name].annotation)
    return section


def load_settings(path: Path) -> PrepareSettings:
    """Read and check a settings file.

    Raises:
        ConfigError: unreadable, or with one sentence for each wrong setting.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise ConfigError(f"{path}: got {document!r:.80}, allowed: a YAML mapping of settings")
    try:
        settings = PrepareSettings.model_validate(document)
        near = settings.dedup.near_duplicates()
        _ = near.bands if settings.dedup.near else None
    except ValidationError as error:
        problems = "; ".join(_in_yaml_terms(each) for each in error.errors())
        raise ConfigError(f"{path}: {problems}") from error
    if not (settings.pubmed.inputs or settings.pmc.inputs or settings.dataset.name):
        raise ConfigError(f"{path}: no input: set pubmed.inputs, pmc.inputs or dataset.name")
    if settings.fetch.pmc and not settings.fetch.pmc_list:
        raise ConfigError(f"{path}: fetch.pmc needs fetch.pmc_list, the articles to fetch")
    if settings.engine.scheduler and settings.engine.name != "dask":
        raise ConfigError(f"{path}: engine.scheduler needs engine.name: dask")
    return settings
