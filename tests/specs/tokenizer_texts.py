"""Texts that tokenizers stumble over, and what a tokenizer makes of one; for tests and for the golden script alike."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

TEXTS = [
    "", " ", "\n\t \u3000", "the house", "  The HOUSE,  the cats!  ", "can't do not ?! don ' t . I'll we've", "x" * 300,
    "Dr. No. 5 met Mr. Smith, i.e. nobody, at 3 p.m. No. He left... etc.. 'quoted' \"double\" ''both''.",
    "9,9 and 10, 1,000,000.50 or 3.14, 20 % (5 %) well-known and/or e-mail@x.org http://a.b/c?d=1&e=2",
    "<s> the </s> <unk><pad> <mask> a <mask>b <sep><cls> [CLS] [MASK]x <eos> <UNK> <S>",
    "<formula> <special1> <extra_id_0>",
    "a\x00b\ufffdc\x1cd\x85e\x0bf\u2028g\u00a0h\u200bi\u00ad", "É é e\u0301 \u0301 a\u0301b\u0323\u0301", "ﬁ ﷺ ℡ Ⅷ ² ½",
    "İ ı ẞ ß ΣΑΣ ς ﬁ Ǆ 𝚺", "“quotes” „unten‘ «là» — – … 、。！？（全角）１２３", "``back'' ticks `x'",
    "水火abc水 한국어 かな",
    "कि ข้อ عربي ع\u0651 עברית", "\U0001f468\u200d\U0001f469\u200d\U0001f467 ⚑\ufe0f 👩🏽 \U0001f600\U0001f600",
    "a\u0300" * 50, "-- --- ...... . .. ,,, 'a' ''' @-@ @,@ &amp; &lt; DOTMULTI THISISPROTECTED000",
    "tab\tnew\nline\n\nend\n",
    "Links My neighbor is", "the\u2581house \u2581\u2581x", "𠀀\U0002f800 \U000e0041 \ue000",
    "ÅÄÖ åäö naïve façade Straße",
]  # fmt: skip


def real_texts(data: Path) -> list[str]:
    """A cut through the shared texts: many languages, naughty strings, novels, articles."""

    def lines(name: str, step: int) -> list[str]:
        return (data / "text" / name).read_text(encoding="utf-8").split("\n")[::step]

    return [
        *TEXTS, *lines("blns.txt", 1), *lines("xquad-paragraphs-12-languages.tsv", 7), *lines("wikitext2-test.txt", 61),
        *lines("wagahai.txt", 37), *lines("botchan.txt", 37), "\n".join(lines("blns.txt", 1)),
    ]


def answers(tokenizer: Any, text: str, other: str) -> list[Any]:
    """What is compared: a text, a pair, and what comes back of them."""
    single, pair = tokenizer(text), tokenizer(text, other)
    ids = list(single["input_ids"])
    return [
        {name: list(single[name]) for name in sorted(single)}, {name: list(pair[name]) for name in sorted(pair)},
        tokenizer.decode(ids), tokenizer.decode(ids, skip_special_tokens=True),
    ]


def digests(tokenizer: Any, texts: list[str]) -> str:
    """The answers to all texts, each paired with the one before it, eight hexadecimal digits a text."""
    found = [answers(tokenizer, text, texts[index - 1]) for index, text in enumerate(texts)]
    return " ".join(hashlib.sha256(json.dumps(answer).encode()).hexdigest()[:8] for answer in found)
