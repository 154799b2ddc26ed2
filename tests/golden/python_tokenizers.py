"""What the Python tokenizers of transformers 4.46.3 say, which later releases lack or have changed.

    python tests/golden/python_tokenizers.py [folder of the shared data]

Small vocabularies are made here, from the texts; of real ones only digests of the answers are kept.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[0] = str(HERE.parent / "specs")
os.environ["TRUST_REMOTE_CODE"] = "True"  # for the pickle that one of them writes here itself

import sentencepiece  # noqa: E402
import transformers  # noqa: E402
from tokenizer_texts import TEXTS, digests, real_texts  # noqa: E402
from transformers.models.deprecated.transfo_xl.tokenization_transfo_xl import TransfoXLTokenizer  # noqa: E402

FOLDER = HERE / "python_tokenizers"
SPECIALS = [f"<special{number}>" for number in range(10)]
PIECES = ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]


def merges(words: Iterable[str], count: int) -> tuple[list[str], list[tuple[str, str]]]:
    """Symbols and merges that pairs of neighbours suggest, words ending with `</w>`."""
    counts = Counter(tuple([*word[:-1], word[-1] + "</w>"]) for word in words)
    symbols = {symbol for word in counts for symbol in word}
    found: list[tuple[str, str]] = []
    for _ in range(count):
        pairs: Counter[tuple[str, str]] = Counter()
        for word, times in counts.items():
            for pair in zip(word, word[1:], strict=False):
                pairs[pair] += times
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        found.append(best)
        symbols.add("".join(best))
        joined: Counter[tuple[str, ...]] = Counter()
        for word, times in counts.items():
            parts, index = [], 0
            while index < len(word):
                step = 2 if word[index:index + 2] == best else 1
                parts.append("".join(word[index:index + step]))
                index += step
            joined[tuple(parts)] += times
        counts = joined
    return sorted(symbols), found


def byte_pairs(folder: Path, first: list[str], continued: bool) -> None:
    words = [word for text in TEXTS[:10] for word in text.lower().split()] * 2 + ["the", "house", "that", "Jack"]
    symbols, pairs = merges(words, 80)
    if continued:
        symbols = [part for s in symbols for part in ([s[:-4]] if s.endswith("</w>") else [s + "@@", s])]
    pieces = [*dict.fromkeys([*first, *symbols])][:-7]  # some are missing
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    header = "#version: 0.2\n" if continued else ""
    (folder / "merges.txt").write_text(header + "".join(f"{a} {b}\n" for a, b in pairs))


def spiece(folder: Path, **options: Any) -> None:
    words = [text for text in TEXTS if text.strip()] * 3
    words += ["the house is red, 9,9 and 10,", "a cat sat on 1,000 mats"] * 9
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_prefix=str(folder / "spiece"), normalization_rule_name="identity",
        vocab_size=180, character_coverage=0.98, minloglevel=2, **options,
    )
    (folder / "spiece.vocab").unlink()


def word_list(folder: Path) -> None:
    words = ["<eos>", "<unk>", "the", "house", ",", ".", "@-@", "@,@", "@.@", "'s", "Dr.", "9", "10", "a", "<formula>"]
    (folder / "vocab.txt").write_text("".join(f"{word} 3\n" for word in words))


def small(name: str, spec: str, make: Callable[[Path], None], load: Callable[..., Any], **options: Any) -> None:
    folder = FOLDER / name
    folder.mkdir(parents=True)
    make(folder)
    case = {"spec": spec, "options": options, "digests": digests(load(folder, **options), TEXTS)}
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")


def real(data: Path) -> None:
    texts = real_texts(data)
    home = data / "tokenizers"
    scratch = FOLDER / "scratch"
    scratch.mkdir()
    pieces = [line.split(" ")[0] for line in (home / "ctrl" / "vocab").read_text().split("\n")] + ["<unk>", "\n"]
    (scratch / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(pieces)}))
    lines = (home / "xlm-mlm-xnli15" / "vocab_xnli_15").read_text().split("\n")[:-1]
    words = [line.split(" ")[0] for line in lines]
    words = [word.replace("@@", "") if "@@" in word else word + "</w>" for word in words]
    words = ["<s>", "</s>", "<pad>", "<unk>", *SPECIALS, *words][:95000]
    (scratch / "xlm.json").write_text(json.dumps({word: number for number, word in enumerate(words)}))
    xlnet, albert = (str(home / name / "spiece.model") for name in ("xlnet-base-cased", "albert-base-v2"))
    llama = str(home / "llama" / "tokenizer.model")
    tokenizers = [
        ("ctrl", "ctrl", {}, transformers.CTRLTokenizer(scratch / "vocab.json", home / "ctrl" / "ctrl-merges.txt")),
        ("xlnet", "xlnet-base-cased", {}, transformers.XLNetTokenizer(xlnet)),
        ("xlnet", "xlnet-base-cased", {"do_lower_case": True}, transformers.XLNetTokenizer(xlnet, do_lower_case=True)),
        ("albert", "albert-base-v2", {}, transformers.AlbertTokenizer(albert)),
        ("xlm", "xlm-mlm-xnli15", {},
         transformers.XLMTokenizer(scratch / "xlm.json", home / "xlm-mlm-xnli15" / "codes_xnli_15")),
        ("transfo_xl", "transfo-xl-wikitext2", {},
         TransfoXLTokenizer(vocab_file=home / "transfo-xl-wikitext2" / "vocab.txt")),
        ("llama", "llama", {}, transformers.LlamaTokenizer(llama, legacy=False)),
        ("llama", "llama", {"add_bos_token": False, "add_eos_token": True},
         transformers.LlamaTokenizer(llama, legacy=False, add_bos_token=False, add_eos_token=True)),
    ]
    cases = [
        {"spec": spec, "folder": folder, "options": options, "digests": digests(tokenizer, texts)}
        for spec, folder, options, tokenizer in tokenizers
    ]
    (FOLDER / "real.json").write_text(json.dumps(cases, indent=1) + "\n")
    shutil.rmtree(scratch)


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()

    def from_folder(kind: Any) -> Callable[..., Any]:
        return lambda folder, **options: kind.from_pretrained(folder, **options)

    small("ctrl", "ctrl", lambda folder: byte_pairs(folder, ["<unk>"], True), from_folder(transformers.CTRLTokenizer))
    first = ["<s>", "</s>", "<pad>", "<unk>", *SPECIALS]
    for name, options in (("xlm", {}), ("xlm_cased", {"do_lowercase_and_remove_accent": False})):
        small(name, "xlm", lambda folder: byte_pairs(folder, first, False),
              from_folder(transformers.XLMTokenizer), **options)
    for name, options in (
        ("xlnet", {}), ("xlnet_uncased", {"do_lower_case": True}),
        ("xlnet_as_is", {"remove_space": False, "keep_accents": True}),
    ):
        small(name, "xlnet", lambda folder: spiece(folder, control_symbols=PIECES),
              from_folder(transformers.XLNetTokenizer), **options)
    for name, options in (("transfo_xl", {}), ("transfo_xl_lower", {"lower_case": True})):
        small(name, "transfo_xl", word_list, from_folder(TransfoXLTokenizer), **options)
    if len(sys.argv) > 1:
        real(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
