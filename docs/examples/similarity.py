"""How alike are these sentences? Embeds them with a BERT and prints the cosine of every two.

    python docs/examples/similarity.py FOLDER [--json]

FOLDER holds a sentence encoder: config.json, weights, vocab.txt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import torch
from torch import Tensor

import modelwright as mw

SENTENCES = (
    "A man is eating food.",
    "Someone is having a meal.",
    "The girl is carrying a baby.",
    "A woman holds her child in her arms.",
    "The stock market fell sharply today.",
)


def embed(model: mw.Model, tokenizer: mw.tokenizers.Tokenizer, sentences: Sequence[str]) -> Tensor:
    """[sentences, D]: the mean over each sentence's tokens, padding left out, of length one."""
    inputs = tokenizer(list(sentences), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        hidden = model(**inputs).last_hidden_state
    real = inputs["attention_mask"][:, :, None].to(hidden.dtype)
    mean = (hidden * real).sum(dim=1) / real.sum(dim=1)
    return torch.nn.functional.normalize(mean, dim=-1)


def similarity(folder: str, sentences: Sequence[str] = SENTENCES) -> Tensor:
    """[sentences, sentences]: cosines."""
    vectors = embed(mw.build(weights=folder), mw.load_tokenizer(folder), sentences)
    return vectors @ vectors.T


def table(matrix: Tensor, sentences: Sequence[str]) -> str:
    """The matrix as text, a numbered row for each sentence."""
    width = max(map(len, sentences))
    lines = [" " * (width + 3) + "".join(f"{number:>7}" for number in range(1, len(sentences) + 1))]
    for number, (sentence, row) in enumerate(zip(sentences, matrix.tolist(), strict=True), start=1):
        lines.append(f"{number}  {sentence:<{width}}" + "".join(f"{value:>7.3f}" for value in row))
    return "\n".join(lines)


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Embed a few sentences and print how alike every two are.")
    parser.add_argument("folder", metavar="FOLDER", help="a sentence encoder: config.json, weights, vocab.txt")
    parser.add_argument("--json", action="store_true", help="print for machines")
    args = parser.parse_args(argv)
    matrix = similarity(args.folder)
    if args.json:
        print(json.dumps({"sentences": SENTENCES, "similarity": matrix.tolist()}, indent=1))
    else:
        print(table(matrix, SENTENCES))


if __name__ == "__main__":
    main()
