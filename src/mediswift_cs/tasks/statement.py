"""A title that states something, turned into a yes/no question (PQA-A of Jin et al., 2019).

Their rule: a title of the form noun phrase + present-tense verb becomes a question by moving the
copula or auxiliary to the front, or by putting "do" or "does" there; the answer is "no" where the
verb is negated and "yes" otherwise. They find the verb with a part-of-speech tagger. Here a closed
list of verbs stands in for it: fewer titles match, and a wrong match is rare.
"""

import re
from enum import StrEnum
from typing import Literal, NamedTuple

# Moved to the front as they are.
AUXILIARIES = ("is", "are", "can", "may", "could", "should", "must", "might", "will")

_VERB_LIST = """
accelerates activates affects aggravates alleviates alters ameliorates amplifies associates
attenuates blocks causes confers contributes controls correlates decreases delays depends
determines differs disrupts disturbs drives enables encodes enhances exacerbates facilitates
impairs improves increases induces influences inhibits interacts involves leads limits lowers
mediates mimics mitigates modifies modulates occurs potentiates predicts prevents produces promotes
prolongs protects provides reduces regulates requires restores reveals shows stimulates strengthens
triggers underlies
"""
# Present-tense verbs of titles: third person singular -> base form.
VERBS: dict[str, str] = {
    **{verb: verb[:-1] for verb in _VERB_LIST.split()},
    "has": "have",
    "represses": "repress",
    "suppresses": "suppress",
    "underlies": "underlie",
}

# What the opposite of a statement says, for questions whose answer is "no".
ANTONYMS: dict[str, str] = {
    "accelerates": "delays",
    "activates": "suppresses",
    "aggravates": "alleviates",
    "alleviates": "aggravates",
    "ameliorates": "exacerbates",
    "attenuates": "enhances",
    "decreases": "increases",
    "delays": "accelerates",
    "enhances": "reduces",
    "exacerbates": "ameliorates",
    "impairs": "improves",
    "improves": "impairs",
    "increases": "decreases",
    "inhibits": "promotes",
    "lowers": "increases",
    "potentiates": "attenuates",
    "promotes": "inhibits",
    "reduces": "increases",
    "stimulates": "inhibits",
    "suppresses": "promotes",
}

# Before the verb, these open a clause of their own, whose verb is not the title's.
_CLAUSE_WORDS = """
that which who whom whose when where while how why what if whether because although to not and/or
"""
_CLAUSE = frozenset(_CLAUSE_WORDS.split())
# After a form that may also be a noun ("increases in ..."), these show that it is one.
_PREPOSITIONS = "in of and or for from to at on by during with after among between"
_AFTER_NOUN = frozenset(_PREPOSITIONS.split())
# Verbs whose object follows with such a word, so that they are verbs all the same.
_WITH_PREPOSITION = (
    "associates contributes correlates depends differs interacts leads occurs protects"
)
_TAKES_PREPOSITION = frozenset(_WITH_PREPOSITION.split())
# Negations outside the verb: whether the answer is yes or no is not clear.
_UNCLEAR = re.compile(
    r"\b(no|not|nor|neither|never|without|none|rarely|lack|absence)\b", re.IGNORECASE
)


class Reason(StrEnum):
    """Why a title gives no question."""

    QUESTION = "title_is_a_question"
    NO_VERB = "title_without_a_listed_verb"
    SEVERAL_PARTS = "title_of_several_parts"
    UNCLEAR_NEGATION = "title_with_unclear_negation"


class Question(NamedTuple):
    """A question with its answer."""

    text: str
    label: Literal["yes", "no"]


def question_from_title(title: str, abstract: str, *, contrast: bool) -> Question | Reason:
    """The question that a title answers, or why there is none.

    Args:
        abstract: a first word that it holds in lower case is no name, and is lowered.
        contrast: ask for the opposite where the verb has one in ANTONYMS, so that the answer is
            "no". This is not a part of the paper's rule, whose questions are nearly all "yes".
    """
    statement = title.strip(" .[]")
    if statement.endswith("?"):
        return Reason.QUESTION
    if re.search(r"[:;?!]|\. ", statement):
        return Reason.SEVERAL_PARTS
    words = statement.split()
    place = find_verb(words)
    if place is None:
        return Reason.NO_VERB
    verb, rest = words[place], words[place + 1 :]
    negated = verb == "cannot" or rest[0] == "not"
    rest = rest[1:] if rest[0] == "not" else rest
    if _UNCLEAR.search(" ".join([*words[:place], *rest])):
        return Reason.UNCLEAR_NEGATION
    is_listed = verb in VERBS
    if _second_verb(rest):
        # "X reduces A and increases B" would need both verbs changed.
        return Reason.SEVERAL_PARTS
    if contrast and is_listed and verb in ANTONYMS:
        verb, negated = ANTONYMS[verb], True
    front = "Does" if is_listed else "Can" if verb == "cannot" else verb.capitalize()
    base = [VERBS[verb]] if is_listed else []
    subject = [_lower_first(words[0], abstract), *words[1:place]]
    return Question(" ".join([front, *subject, *base, *rest]) + "?", "no" if negated else "yes")


def find_verb(words: list[str]) -> int | None:
    """Where the title's verb is; None where no listed verb follows a noun phrase."""
    for index, word in enumerate(words[:-1]):
        following = words[index + 1]
        if word.lower() in _CLAUSE or word.endswith(",") or "(" in word:
            return None
        if index == 0:
            continue
        is_verb = word in AUXILIARIES or word == "cannot"
        if word in ("do", "does"):
            is_verb = following == "not" and index + 2 < len(words)
        elif word in VERBS:
            is_verb = following not in _AFTER_NOUN or (
                word in _TAKES_PREPOSITION and following != "of"
            )
        if is_verb:
            # After "and" it is a second verb, and the first one is not in the list.
            return None if words[index - 1] == "and" else index
    return None


def _second_verb(words: list[str]) -> bool:
    """Whether "and" is followed by a verb, perhaps with an adverb between."""
    for index, word in enumerate(words[:-1]):
        if word in ("and", "but"):
            following = [w for w in words[index + 1 : index + 3] if not w.endswith("ly")]
            if following and (following[0] in VERBS or following[0] in AUXILIARIES):
                return True
    return False


def _lower_first(word: str, abstract: str) -> str:
    if word in ("A", "An", "The"):
        return word.lower()
    lowered = word[0].lower() + word[1:]
    return lowered if re.search(rf"(?<!\w){re.escape(lowered)}(?!\w)", abstract) else word
