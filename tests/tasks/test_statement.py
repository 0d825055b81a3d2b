"""Titles that become questions."""

import pytest

from mediswift_cs.tasks.statement import ANTONYMS, VERBS, Reason, question_from_title


@pytest.mark.parametrize(
    ("title", "question", "label"),
    [
        # The two examples of the PubMedQA paper's kind: a positive and a negated statement.
        (
            "Smoking increases the risk of stroke.",
            "Does Smoking increase the risk of stroke?",
            "yes",
        ),
        (
            "Liver grafts from older donors do not have more ischaemia.",
            "Do Liver grafts from older donors have more ischaemia?",
            "no",
        ),
        ("Zinc is associated with obesity.", "Is Zinc associated with obesity?", "yes"),
        ("Zinc is not associated with obesity.", "Is Zinc associated with obesity?", "no"),
        ("[Zinc cannot replace iron].", "Can Zinc replace iron?", "no"),
        ("Aspirin may harm cats", "May Aspirin harm cats?", "yes"),
        ("Renin has a low weight.", "Does Renin have a low weight?", "yes"),
        ("The dose leads to cell death.", "Does the dose lead to cell death?", "yes"),
        ("CD8 T cells suppresses growth.", "Does CD8 T cells suppress growth?", "yes"),
    ],
)
def test_statement(title: str, question: str, label: str) -> None:
    assert question_from_title(title, abstract="", contrast=False) == (question, label)


@pytest.mark.parametrize(
    ("title", "reason"),
    [
        ("Is zinc good?", Reason.QUESTION),
        ("Zinc in the diet of rats.", Reason.NO_VERB),
        ("Increases in weight of rats.", Reason.NO_VERB),
        ("Weight increases in rats.", Reason.NO_VERB),  # may be a noun
        ("Rats that has zinc.", Reason.NO_VERB),  # a verb of a clause
        ("A gene (which is new) is found.", Reason.NO_VERB),
        ("Correlates of sleep.", Reason.NO_VERB),
        ("Weight increases of rats.", Reason.NO_VERB),
        # A verb that takes other prepositions is a noun before this one.
        ("Blood leads of rats.", Reason.NO_VERB),
        ("Zinc is good: a trial.", Reason.SEVERAL_PARTS),
        ("Zinc reduces pain and increases weight.", Reason.SEVERAL_PARTS),
        ("Zinc has no effect on rats.", Reason.UNCLEAR_NEGATION),
        ("Zinc is good but not in rats.", Reason.UNCLEAR_NEGATION),
        ("", Reason.NO_VERB),
        ("is", Reason.NO_VERB),
    ],
)
def test_other_titles(title: str, reason: Reason) -> None:
    assert question_from_title(title, abstract="", contrast=False) is reason


def test_a_common_first_word_is_lowered_and_a_name_is_not() -> None:
    abstract = "We show that depression can be induced. Cimetidine was given."
    question = question_from_title("Depression can be induced.", abstract, contrast=False)
    assert question == ("Can depression be induced?", "yes")
    question = question_from_title("Cimetidine is an antiandrogen.", abstract, contrast=False)
    assert question == ("Is Cimetidine an antiandrogen?", "yes")


def test_contrast_asks_for_the_opposite() -> None:
    title = "Zinc increases weight."
    assert question_from_title(title, contrast=True, abstract="") == (
        "Does Zinc decrease weight?",
        "no",
    )
    assert question_from_title("Zinc is good.", contrast=True, abstract="") == (
        "Is Zinc good?",
        "yes",
    )


def test_verbs_have_base_forms() -> None:
    assert set(ANTONYMS) | set(ANTONYMS.values()) <= set(VERBS)
    for verb, base in VERBS.items():
        assert verb.startswith(base[:-2])
        assert not base.endswith("s") or base in ("suppress", "repress")
