"""Pipelines as transformers 4.57.6 runs them. Run: `python tests/golden/pipelines.py` (see README.md)."""

from __future__ import annotations

import io
import json
import shutil
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import sentencepiece
import tokenizers
import torch
import transformers
from torch import nn
from transformers.pipelines import question_answering

from record import draw_weights

SELECT = question_answering.select_starts_ends
HERE = Path(__file__).resolve().parent / "pipelines"
LONGEST, LONGEST_BYTES = 40, 80  # tokens

TEXTS = [
    "My name is Wolfgang and I live in Berlin, near the river.",
    "Hugging Face Inc. is a company based in New York City. Its headquarters are in DUMBO.",
    "",
    "The café in Zürich was réally naïve 😀👍 and 東京 is far away",
    "word " * 90,
    "Well made!",
    "Sarah and John-Paul went unbelievably  quickly\tto London.",
]
CONTEXTS = [
    "My name is Wolfgang and I live in Berlin, near the river.",
    "The café in Zürich 😀 belongs to Émile Müller, who is naïve. " * 4,
    "Berlin",
    "Hugging Face Inc. is a company based in New York City. Its headquarters are in DUMBO, therefore very close to the "
    "Manhattan Bridge which is visible from the window. Wolfgang lives far away, in Berlin, and goes there by train.",
]
QUESTIONS = ["Where do I live?", "Who is Émile?", "What?", "Where is the company based, and why?"]
WORDS = (
    "my name is and i live in near the river a company based new york city its headquarters are was far away word well "
    "made went to who where what do of hello it example this paris capital good bad very bridge train lives there by"
)
PIECES = (
    "wolf ##gang ber ##lin hug ##ging face inc zu ##rich cafe real ##ly naive sarah john paul un ##believ ##ably quick "
    "london dum ##bo em ##ile mull ##er man ##hat ##tan vis ##ible win ##dow there ##fore clo ##se be ##long ##s ##ing "
    "sport pol ##itic tech ##nology 東 京"
)
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
ENTITIES = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
CLASSES = ["negative", "neutral", "positive"]
INFERENCE = ["contradiction", "neutral", "entailment"]

SMALL = {
    "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24,
    "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
}  # fmt: skip


def named(labels: list[str]) -> dict[str, Any]:
    return {"id2label": dict(enumerate(labels)), "label2id": {label: number for number, label in enumerate(labels)}}


def word_piece(folder: Path) -> int:
    """A vocabulary in which most words come apart. Returns its size."""
    letters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [*SPECIAL, *letters, *(f"##{letter}" for letter in letters), *".,!?-'", *WORDS.split(), *PIECES.split()]
    pieces = list(dict.fromkeys(pieces))
    (folder / "vocab.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": LONGEST, "do_lower_case": True}))
    return len(pieces)


def byte_level(folder: Path, special: list[str], **settings: Any) -> int:
    """A byte-level vocabulary learned from the texts. Returns its size."""
    made = tokenizers.ByteLevelBPETokenizer()
    lines = [*TEXTS, *CONTEXTS, WORDS, WORDS.replace(" ", "\n")]
    made.train_from_iterator(lines, vocab_size=256 + len(special) + 90, special_tokens=special, min_frequency=1)
    made.save_model(str(folder))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": LONGEST_BYTES, **settings}))
    return made.get_vocab_size()


def unigram(folder: Path, special: dict[str, Any], settings: dict[str, Any]) -> int:
    """A SentencePiece model learned from the texts. `special`: its special tokens. Returns its size."""
    model = io.BytesIO()
    lines = 3 * [*TEXTS, *CONTEXTS, WORDS, "summarize: translate English to German: French: "]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(filter(None, lines)), model_writer=model, vocab_size=150, hard_vocab_limit=False,
        num_threads=1, minloglevel=2, normalization_rule_name="identity", **special,
    )  # fmt: skip
    (folder / "spiece.model").write_bytes(model.getvalue())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return len(sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()))


def merged(folder: Path) -> int:
    """Merges of two and three letters, as XLM keeps them. Returns the size of the vocabulary."""
    letters = "abcdefghijklmnopqrstuvwxyz.,?😀東京-"
    ends = [f"{letter}</w>" for letter in letters]
    pairs = ["t h", "i n", "e r</w>", "a n", "th e</w>", "i s</w>", "in g</w>", "c o", "l i", "an d</w>"]
    before = ["<s>", "</s>", "<pad>", "<unk>", *(f"<special{number}>" for number in range(10))]
    vocabulary = list(dict.fromkeys([*before, *letters, *ends, *(pair.replace(" ", "") for pair in pairs)]))
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(vocabulary)}))
    (folder / "merges.txt").write_text("".join(f"{pair} {9 - place}\n" for place, pair in enumerate(pairs)))
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 384}))
    return len(vocabulary)


def bert(folder: Path) -> dict[str, Any]:
    return {**SMALL, "vocab_size": word_piece(folder), "max_position_embeddings": LONGEST}


ROBERTA = ["<s>", "<pad>", "</s>", "<unk>", "<mask>"]


def roberta(folder: Path) -> dict[str, Any]:
    size = byte_level(folder, ROBERTA)
    ids = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "type_vocab_size": 1}
    return {**SMALL, "vocab_size": size, "max_position_embeddings": LONGEST_BYTES + 2, **ids}


def gpt2(folder: Path) -> dict[str, Any]:
    size = byte_level(folder, ["<|endoftext|>"])
    sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": LONGEST_BYTES, "vocab_size": size}
    return {**sizes, "bos_token_id": 0, "eos_token_id": 0, "resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}


def bart(folder: Path) -> dict[str, Any]:
    size = byte_level(folder, ROBERTA)
    sides = {f"{side}_{name}": value for side in ("encoder", "decoder")
             for name, value in (("layers", 2), ("attention_heads", 2), ("ffn_dim", 24))}  # fmt: skip
    # The release's default of 4 beams beats the config, though its documentation says otherwise: here both say 4.
    return {"d_model": 16, "vocab_size": size, "max_position_embeddings": 160, "dropout": 0.0, **sides,
            "num_beams": 4, "max_length": 12, "forced_eos_token_id": 2, "no_repeat_ngram_size": 3}  # fmt: skip


T5 = {"pad_id": 0, "eos_id": 1, "unk_id": 2, "bos_id": -1}
XLNET = {"unk_id": 0, "bos_id": 1, "eos_id": 2, "pad_id": 5, "control_symbols": "<cls>,<sep>,<mask>,<eod>,<eop>"}


def xlnet(folder: Path) -> dict[str, Any]:
    size = unigram(folder, XLNET, {"model_max_length": 120})
    return {"d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 24, "dropout": 0.0, "vocab_size": size}


def xlm(folder: Path) -> dict[str, Any]:
    sizes = {"emb_dim": 16, "n_layers": 2, "n_heads": 2, "dropout": 0.0, "attention_dropout": 0.0}
    return {**sizes, "vocab_size": merged(folder), "max_position_embeddings": 400}


def t5(folder: Path) -> dict[str, Any]:
    sizes = {"d_model": 16, "d_kv": 8, "d_ff": 24, "num_layers": 2, "num_heads": 2, "dropout_rate": 0.0}
    # as the published configs say it
    beams = {"early_stopping": True, "num_beams": 4}
    specific = {
        "summarization": {**beams, "length_penalty": 2.0, "max_length": 14, "min_length": 6, "no_repeat_ngram_size": 3,
                          "prefix": "summarize: "},
        "translation_en_to_de": {**beams, "max_length": 12, "prefix": "translate English to German: "},
        "translation_en_to_fr": {**beams, "max_length": 12, "prefix": "translate English to French: "},
    }  # fmt: skip
    size = 10 + unigram(folder, T5, {"extra_ids": 10, "model_max_length": 512})
    return {**sizes, "vocab_size": size, "decoder_start_token_id": 0, "task_specific_params": specific}


def call(task: str, inputs: Any, options: dict[str, Any] | None = None, **later: Any) -> dict[str, Any]:
    """One pipeline, called once: `options` when it is made, `later` when it is called."""
    return {"task": task, "options": options or {}, "inputs": inputs, "call": later}


PAIRS = [{"text": "Who is it?", "text_pair": "It is Wolfgang."}, {"text": "Well made!", "text_pair": ""}]
CUT = {"truncation": True}
CLASSIFY = [
    call("text-classification", TEXTS[0]),
    call("sentiment-analysis", TEXTS, CUT),
    call("text-classification", TEXTS[1], top_k=2),
    call("text-classification", TEXTS[:2], top_k=None),
    call("text-classification", TEXTS[:2], {"top_k": 1}),
    call("text-classification", TEXTS[0], {"top_k": None}),
    call("text-classification", PAIRS[0]),
    call("text-classification", PAIRS),
    call("text-classification", TEXTS[0], function_to_apply="sigmoid", top_k=None),
    call("text-classification", TEXTS[0], function_to_apply="none", top_k=None),
    call("text-classification", TEXTS[:2], {"return_all_scores": True}),
]
NER = [
    *(call("ner", TEXTS, {"aggregation_strategy": how}) for how in ("none", "simple", "first", "average", "max")),
    call("token-classification", TEXTS[0], ignore_labels=["B-PER", "O"]),
    call("token-classification", TEXTS, {"aggregation_strategy": "simple", "ignore_labels": []}),
    call("ner", TEXTS[3:5], {"aggregation_strategy": "max", "stride": 6, "ignore_labels": []}),
    call("ner", TEXTS[0], {"grouped_entities": True}),
]
SPLIT = [call("ner", ["Wolfgang", "lives", "in", "Zürich", "😀"], {"aggregation_strategy": "first"},
              is_split_into_words=True)]  # fmt: skip
ASKED = [{"question": question, "context": context} for question, context in zip(QUESTIONS, CONTEXTS, strict=True)]
ANSWER = [
    *(call("question-answering", asked) for asked in ASKED),
    call("question-answering", ASKED, top_k=3),
    call("question-answering", ASKED[:1]),
    call("question-answering", ASKED, {"handle_impossible_answer": True}, top_k=2),
    call("question-answering", ASKED, handle_impossible_answer=True, max_answer_len=1),
    call("question-answering", ASKED, align_to_words=False, top_k=4),
    call("question-answering", ASKED[3], max_seq_len=24, doc_stride=4, top_k=5, max_answer_len=3),
    call("question-answering", ASKED[1], max_seq_len=30, doc_stride=10, handle_impossible_answer=True),
]
BLANK = [call("question-answering", {"question": "What?", "context": blank}) for blank in (" ", "\u200b", "\n\n")]


def with_marks(mark: str, context: str = CONTEXTS[0]) -> list[dict[str, Any]]:
    """The classifier's token, written as text into the context, the question, and both."""
    marked = context.replace(",", f"{mark},")  # tokenizers disagree about a blank before it
    inside = [{"question": "Where do I live?", "context": marked}, {"question": f"Wh{mark}o?", "context": context},
              {"question": f"{mark}Where{mark}?", "context": f"{mark}{marked}"}]  # fmt: skip
    return [*(call("question-answering", asked, top_k=5) for asked in inside),
            call("question-answering", inside, handle_impossible_answer=True, align_to_words=False)]  # fmt: skip


#: Without the blank at the end, which only the tokenizer in Rust keeps; and with room for the question in its windows.
STRIPPED = [{"question": one["question"], "context": one["context"].strip()} for one in ASKED]
BLANKLESS = [
    *(one | {"inputs": [STRIPPED[ASKED.index(asked)] for asked in one["inputs"]]} for one in ANSWER[4:-2]),
    *(call("question-answering", asked) for asked in STRIPPED),
    call("question-answering", ASKED[3], max_seq_len=60, doc_stride=8, top_k=5, max_answer_len=3),
    call("question-answering", STRIPPED[1], max_seq_len=50, doc_stride=20, handle_impossible_answer=True),
]
#: A tokenizer in Python gives no offsets: each word is split by itself, and spans are of whole words and not joined.
SENTENCES = [
    ASKED[0],
    {"question": "Who is Émile?", "context": "The café in Zürich 😀 belongs to Émile Müller, who is naïve."},
    {"question": "Where is it?", "context": "The headquarters are near the Manhattan Bridge"},
    {"question": "How?", "context": "Sarah and John went unbelievably  quickly to London"},
    {"question": "What?", "context": "Wolfgang lives  far away, in Berlin, and goes there by train"},
]
WHOLE_WORDS = [
    *(call("question-answering", asked, align_to_words=False) for asked in SENTENCES),
    call("question-answering", SENTENCES, align_to_words=False, top_k=3),
    call("question-answering", SENTENCES, {"handle_impossible_answer": True}, align_to_words=False, max_answer_len=2),
]


def fill(mask: str) -> list[dict[str, Any]]:
    one, two = f"Berlin is the {mask} of the company 😀.", f"My {mask} is {mask}."
    short = f"Paul's river isn't {mask}, don't go."
    return [
        call("fill-mask", one), call("fill-mask", [one]), call("fill-mask", two, top_k=3),
        call("fill-mask", [one, two, mask], {"top_k": 2}), call("fill-mask", one, targets=["river", "name", "a"]),
        call("fill-mask", [f"{mask} " + TEXTS[4]], {"tokenizer_kwargs": CUT}, top_k=1), call("fill-mask", short),
    ]  # fmt: skip


LABELS = ["sport", "politics", "technology 😀"]
SHOTS = [
    call("zero-shot-classification", TEXTS[0], candidate_labels=LABELS),
    call("zero-shot-classification", [TEXTS[3], TEXTS[4], "Who?"], candidate_labels="sport, politics"),
    call("zero-shot-classification", TEXTS[:2], candidate_labels=LABELS, multi_label=True),
    call("zero-shot-classification", TEXTS[0], candidate_labels=["sport"]),
    call("zero-shot-classification", TEXTS[0], candidate_labels=LABELS, hypothesis_template="It is {}!"),
]
FEATURES = [call("feature-extraction", TEXTS[3]), call("feature-extraction", [TEXTS[5], "", "😀"])]
GREEDY = {"do_sample": False}
WRITE = [
    call("text-generation", "Hello", GREEDY, max_new_tokens=8),
    call("text-generation", ["Where is the company", "I"], GREEDY, max_new_tokens=6),
    call("text-generation", TEXTS[0], GREEDY, max_new_tokens=6, return_full_text=False),
    call("text-generation", "Hello", GREEDY, max_new_tokens=6, num_beams=3, num_return_sequences=2),
    call("text-generation", "the café 😀", GREEDY, max_new_tokens=4, prefix="Well made! "),
    call("text-generation", "Hello", GREEDY, max_new_tokens=3, return_tensors=True),
]
# A `max_length` of the config, or of a call, is overruled by the release's own default of 256 new tokens.
SHORT = {"max_new_tokens": 9}
TRANSLATE = [
    call("summarization", CONTEXTS[3], SHORT),
    call("summarization", [CONTEXTS[0], TEXTS[3]], min_length=2, max_new_tokens=7),
    call("summarization", CONTEXTS[0], max_new_tokens=3),  # fewer than the config's least
    call("translation_en_to_de", TEXTS[0], SHORT),
    call("translation_en_to_de", [TEXTS[1], "Hello"], max_new_tokens=12),
    call("translation_en_to_fr", TEXTS[0], SHORT, num_return_sequences=2),
    call("translation_en_to_ro", TEXTS[5], SHORT),  # which the config does not name: nothing stands before it
    call("text2text-generation", "summarize: " + TEXTS[1], SHORT),
    call("text2text-generation", [TEXTS[0], TEXTS[5]], SHORT, num_beams=2, do_sample=False),
]
SUMMARIZE = [
    call("summarization", CONTEXTS[3]),
    call("summarization", [CONTEXTS[0], TEXTS[6]], max_length=9, min_length=5),
    call("text2text-generation", TEXTS[1], num_beams=1, max_length=10),
]

#: Folder -> class of the model, its config, what the config says besides, and what is asked.
CASES: dict[str, tuple[str, Any, dict[str, Any], list[dict[str, Any]]]] = {
    "bert_classes": ("BertForSequenceClassification", bert, named(CLASSES), CLASSIFY + FEATURES),
    "bert_tags": (
        "BertForSequenceClassification", bert,
        named(CLASSES) | {"problem_type": "multi_label_classification"}, CLASSIFY[:4],
    ),
    "bert_rating": (
        "BertForSequenceClassification", bert, named(["stars"]) | {"problem_type": "regression"}, CLASSIFY[:2]
    ),
    "bert_entities": ("BertForTokenClassification", bert, named(ENTITIES), NER + SPLIT),
    "bert_answers": ("BertForQuestionAnswering", bert, {}, ANSWER + BLANK + with_marks("[CLS]")),
    "bert_words": ("BertForMaskedLM", bert, {}, fill("[MASK]")),
    "roberta_inference": ("RobertaForSequenceClassification", roberta, named(INFERENCE), SHOTS + CLASSIFY),
    "roberta_entities": ("RobertaForTokenClassification", roberta, named(ENTITIES), NER),
    "roberta_answers": ("RobertaForQuestionAnswering", roberta, {}, ANSWER + BLANK + with_marks("<s>")),
    "roberta_words": ("RobertaForMaskedLM", roberta, {}, fill("<mask>")),
    "gpt2_text": ("GPT2LMHeadModel", gpt2, {}, WRITE),
    "t5_text": ("T5ForConditionalGeneration", t5, {}, TRANSLATE),
    "bart_text": ("BartForConditionalGeneration", bart, {}, SUMMARIZE),
    "xlnet_answers": ("XLNetForQuestionAnsweringSimple", xlnet, {}, BLANKLESS + with_marks("<cls>")),
    "xlm_answers": ("XLMForQuestionAnsweringSimple", xlm, {}, WHOLE_WORDS),
}  # fmt: skip


def checkpoint(name: str, seed: int, kind: str, sizes: Any, extra: dict[str, Any]) -> Path:
    folder = HERE / name
    folder.mkdir(parents=True)
    model_class: type[nn.Module] = getattr(transformers, kind)
    config = model_class.config_class(**sizes(folder), **extra)
    model = model_class(config)
    draw_weights(model, seed)
    model.tie_weights()
    model.save_pretrained(folder)
    return folder


def plain(value: Any) -> Any:
    """What JSON can hold, and floats with as many digits as float32 has."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return float(f"{value:.8g}") if isinstance(value, float) else value


def ask(folder: Path, one: dict[str, Any]) -> Any:
    options = one["options"]
    if one["task"] == "question-answering":
        elsewhere = folder.name in ("xlnet_answers", "xlm_answers")
        options = options | {"pipeline_class": MarkedElsewhere if elsewhere else QuestionHidden}
    made = transformers.pipeline(one["task"], model=str(folder), tokenizer=str(folder), device="cpu", **options)
    given = one["inputs"]
    if one["task"] == "question-answering":
        asked = [given] if isinstance(given, dict) else given
        questions, contexts = ([item[key] for item in asked] for key in ("question", "context"))
        if isinstance(given, dict):
            questions, contexts = questions[0], contexts[0]
        return plain(made(question=questions, context=contexts, **one["call"]))
    return plain(made(given, **one["call"]))


class QuestionHidden(question_answering.QuestionAnsweringPipeline):
    """Of texts with the classifier's token in them. The release lets answers begin and end with one that is written in
    the question; which characters of the context that is, is chance. Nothing else becomes different by this."""

    def preprocess(self, *args: Any, **options: Any) -> Any:
        for window in super().preprocess(*args, **options):
            asked = [sequence == 0 for sequence in window["encoding"].sequence_ids]
            yield window | {"p_mask": window["p_mask"].masked_fill(torch.tensor([asked]), 1)}


class MarkedElsewhere(question_answering.QuestionAnsweringPipeline):
    """Of models whose classifier's token is not the first. The release takes the first for it, and lets answers begin
    and end with the other. Where the context stands before the question it forgets to hide the question besides."""

    def preprocess(self, *args: Any, **options: Any) -> Any:
        for window in super().preprocess(*args, **options):
            if self.tokenizer.is_fast:
                hidden = [int(sequence != 0) for sequence in window["encoding"].sequence_ids]
                window["p_mask"] = torch.tensor([[*hidden[:-1], 0]])
            yield window

    def postprocess(self, *args: Any, **options: Any) -> Any:
        with mock.patch.object(question_answering, "select_starts_ends", mark_first):
            return super().postprocess(*args, **options)


def mark_first(*given: Any) -> Any:
    """The release's choice of spans, of rows whose mark is put first. It is what is not hidden after the context, or
    before it."""
    rows = [np.asarray(values) for values in given[:4]]
    seen = np.flatnonzero(rows[2][0] == 0)
    mark = seen[-1] if seen[-1] == rows[2].shape[1] - 1 else seen[0]
    rows = [np.concatenate([row[:, mark : mark + 1], row[:, :mark], row[:, mark + 1 :]], axis=1) for row in rows]
    starts, ends, scores, none = SELECT(*rows, *given[4:])
    return starts - (starts <= mark), ends - (ends <= mark), scores, none


def main() -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    transformers.logging.set_verbosity_error()
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, (name, (kind, sizes, extra, calls)) in enumerate(CASES.items(), start=1):
        folder = checkpoint(name, seed, kind, sizes, extra)
        answered = [{**one, "expected": ask(folder, one)} for one in calls]
        case = {"reference": f"transformers {transformers.__version__}, torch {torch.__version__}", "calls": answered}
        (folder / "calls.json").write_text(json.dumps(case, indent=None, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"{name:20} {len(calls)} calls")


if __name__ == "__main__":
    main()
