"""Scores of predictions, 0 to 1, as the official scripts compute them.

RULER: NVIDIA/RULER@c3f5e3b ``scripts/eval``; LongBench: THUDM/LongBench@2e00731 ``metrics.py``, v2
its ``pred.py`` (EVALUATION.md section 3). Oddities that change a number are kept, and named where
they stand.
"""

import re
import string
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Any

from stages.benchmarks import outside
from stages.common.errors import UserError
from stages.evaluate import graph_scorers

_CONTROL = re.compile(r"[\x00-\x1f]")
_ARTICLES = re.compile(r"\b(a|an|the)\b")
_NUMBER = re.compile(r"\d+")
_ALPHANUMERIC = re.compile(r"[a-z0-9]+")
_CHOICE = re.compile(r"The correct answer is \(([A-D])\)")
_BARE_CHOICE = re.compile(r"The correct answer is ([A-D])")
_PARAGRAPH = re.compile(r"(?:Paragraph |段落)(\d+)")
_CHINESE_PUNCTUATION = (
    "！？｡。＂＃＄％＆＇（）＊＋，－／：；＜＝＞＠［＼］＾＿｀｛｜｝～｟｠｢｣､、〃》「」『』【】〔〕〖〗〘〙〚〛"
    "〜〝〞〟〰〾〿–—‘’‛“”„‟…‧﹏."
)
"""LongBench's own list; it lacks ``《`` and ``·``, which therefore count."""


def string_match_all(prediction: str, references: Sequence[str]) -> float:
    """RULER: share of the references that stand somewhere in the prediction, case ignored."""
    return sum(_found(prediction, references)) / len(references)


def string_match_part(prediction: str, references: Sequence[str]) -> float:
    """RULER's question answering: 1 where any reference stands in the prediction."""
    return float(any(_found(prediction, references)))


def _found(prediction: str, references: Sequence[str]) -> list[bool]:
    text = _CONTROL.sub("\n", prediction.strip()).strip().lower()
    return [reference.lower() in text for reference in references]


def normalised_substring(prediction: str, references: Sequence[str]) -> float:
    """The paper's question answering: 1 where any reference stands in the prediction.

    Both are compared by their words: case, punctuation and articles do not count.
    """
    text = " ".join(_words(prediction))
    return float(any(" ".join(_words(reference)) in text for reference in references))


def qa_f1(prediction: str, reference: str) -> float:
    """LongBench: F1 over words; case, punctuation and English articles do not count."""
    return _f1(_words(prediction), _words(reference))


def set_f1(prediction: str, reference: str) -> float:
    """The paper's F1 on LongBench: as ``qa_f1``, but a word counts once however often it stands.

    ``GeneralMatch`` of SakanaAI/repo ``olmes/oe_eval/metrics/metric.py`` at 66234ce.
    """
    return _f1([*set(_words(prediction))], [*set(_words(reference))])


def qa_f1_zh(prediction: str, reference: str) -> float:
    """LongBench: F1 over the words that ``jieba`` finds; case and punctuation do not count."""
    return _f1(_chinese_words(prediction), _chinese_words(reference))


def _f1(predicted: Sequence[str], expected: Sequence[str]) -> float:
    same = sum((Counter(predicted) & Counter(expected)).values())
    if not same:
        return 0.0
    precision, recall = same / len(predicted), same / len(expected)
    return 2 * precision * recall / (precision + recall)


def _words(text: str) -> list[str]:
    bare = "".join(character for character in text.lower() if character not in string.punctuation)
    return _ARTICLES.sub(" ", bare).split()


def _chinese_words(text: str) -> list[str]:
    ignored = {*string.punctuation, *_CHINESE_PUNCTUATION}
    words = ("".join(c for c in word.lower() if c not in ignored) for word in _segmented(text))
    return [bare for word in words if (bare := "".join(word.split()))]


def _segmented(text: str) -> list[str]:
    try:
        import jieba  # here, not above: it reads a dictionary of half a million words
    except ImportError:
        raise UserError("LongBench's Chinese tasks are scored with jieba; install it") from None
    jieba.setLogLevel("WARNING")
    return list(jieba.cut(text, cut_all=False))


def rouge_l(prediction: str, reference: str) -> float:
    """LongBench: F of ROUGE-L by the package ``rouge``; 0 where that fails (an empty text)."""
    from rouge import Rouge  # here, not above: only summaries need the package

    try:
        scores = Rouge().get_scores([prediction], [reference], avg=True)
    except Exception:  # whatever it is: the official script catches all
        return 0.0
    return float(scores["rouge-l"]["f"])


def rouge_l_zh(prediction: str, reference: str) -> float:
    """LongBench: as ``rouge_l``, over the words that ``jieba`` finds."""
    return rouge_l(" ".join(_segmented(prediction)), " ".join(_segmented(reference)))


def rouge_l_words(prediction: str, reference: str) -> float:
    """The paper's ROUGE-L: F of the longest common subsequence of lower-case words and numbers.

    As the package ``rouge_score`` does without a stemmer, which ``RougeMetric`` of the paper's tools
    calls (SakanaAI/repo at 66234ce). LongBench's own goes by sentences.
    """
    predicted, expected = (_ALPHANUMERIC.findall(text.lower()) for text in (prediction, reference))
    common = [0] * (len(expected) + 1)
    for word in predicted:
        diagonal = 0
        for place, other in enumerate(expected, start=1):
            above = common[place]
            common[place] = diagonal + 1 if word == other else max(above, common[place - 1])
            diagonal = above
    if not common[-1]:
        return 0.0
    precision, recall = common[-1] / len(predicted), common[-1] / len(expected)
    return 2 * precision * recall / (precision + recall)


def classification(prediction: str, reference: str, classes: Sequence[str]) -> float:
    """LongBench: 1/k where the right class is among the k that the prediction names.

    Classes that are proper parts of the right one do not count. The official loop removes them
    from the list it runs over, so that the class behind a removed one is never looked at: kept.
    """
    named = [name for name in classes if name in prediction]
    place = 0
    while place < len(named):
        if named[place] in reference and named[place] != reference:
            # `remove` takes the first equal one; classes are distinct, so that is this one.
            named.remove(named[place])
        place += 1
    return 1 / len(named) if reference in named else 0.0


def count(prediction: str, reference: str) -> float:
    """LongBench: share of the numbers in the prediction that equal the reference."""
    numbers = _NUMBER.findall(prediction)
    return numbers.count(str(reference)) / len(numbers) if numbers else 0.0


def retrieval(prediction: str, reference: str) -> float:
    """LongBench: as ``count``, with the number of ``Paragraph N`` (in Chinese ``段落N``)."""
    found = _PARAGRAPH.search(reference)
    if found is None:
        raise UserError(f"the answer {reference!r} is not of the form 'Paragraph 3' or '段落3'")
    return count(prediction, found[1])


def code_similarity(prediction: str, reference: str) -> float:
    """LongBench: similarity of the first line of code, whole percents.

    ``fuzz.ratio`` of the package that LongBench names (fuzzywuzzy) is ``difflib``'s ratio, rounded;
    with an optional accelerator installed it is another measure, which differs by some points.
    """
    lines = prediction.lstrip("\n").split("\n")
    code = next((line for line in lines if not any(m in line for m in ("`", "#", "//"))), "")
    return round(100 * SequenceMatcher(None, code, reference).ratio()) / 100


_BY_REFERENCE: Mapping[str, Callable[[str, str], float]] = {
    "qa_f1": qa_f1,
    "qa_f1_zh": qa_f1_zh,
    "set_f1": set_f1,
    "rouge_l": rouge_l,
    "rouge_l_words": rouge_l_words,
    "rouge_l_zh": rouge_l_zh,
    "count": count,
    "retrieval": retrieval,
    "code_similarity": code_similarity,
}


def choice(prediction: str, references: Sequence[str]) -> float:
    """LongBench v2: 1 where the letter that the answer names is the right one."""
    return float(chosen_letter(prediction) == references[0])


def chosen_letter(prediction: str) -> str | None:
    """The letter that LongBench v2's ``extract_answer`` finds; stars do not count."""
    text = prediction.strip().replace("*", "")
    found = _CHOICE.search(text) or _BARE_CHOICE.search(text)
    return found[1] if found else None


_BY_REFERENCES: Mapping[str, Callable[[str, Sequence[str]], float]] = {
    "string_match_all": string_match_all,
    "string_match_part": string_match_part,
    "normalised_substring": normalised_substring,
    "choice": choice,
}
METRICS = frozenset({*_BY_REFERENCE, *_BY_REFERENCES, "classification"})
"""Names of what a sample of any task may be scored by; NLGraph's have their own."""


def score(sample: Mapping[str, Any], prediction: str) -> float:
    """Score of a prediction by the metric its sample names; the best over LongBench's answers."""
    metric, references = sample["metric"], sample["outputs"]
    if metric.startswith(outside.METRIC):
        return outside.score(metric, sample["asked"], prediction)
    if metric.startswith(graph_scorers.PREFIX):
        (reference,) = references
        return graph_scorers.score(metric, sample["question"], prediction, reference)
    if metric in _BY_REFERENCES:
        return _BY_REFERENCES[metric](prediction, references)
    if not references:
        return 0.0  # the official loop starts at 0 and finds nothing better
    if sample.get("first_line"):
        prediction = prediction.lstrip("\n").split("\n")[0]
    if metric == "classification":
        classes = sample["all_classes"]
        return max(classification(prediction, reference, classes) for reference in references)
    return max(_BY_REFERENCE[metric](prediction, reference) for reference in references)
