"""Ids that a model's tables have no vectors for: the caller's name of the input, the number, and what there is."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import modelwright as mw
from modelwright.blocks import Context
from modelwright.blocks.adaptive import AdaptiveLookup

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
PLAIN = SIZES | {"intermediate_size": 20, "max_position_embeddings": 40}
AXIAL = SIZES | {"attention_head_size": 8, "intermediate_size": 20, "axial_pos_shape": [4, 8],
                 "axial_pos_embds_dim": [4, 12], "local_chunk_length": 2, "lsh_chunk_length": 4}  # fmt: skip
CLUSTERS = SIZES | {"cutoffs": [10, 30], "tie_projections": [False, True, True], "attention_head_size": 8,
                    "intermediate_size": 24}  # fmt: skip
#: Hparams, and how many rows there are for each input; `decoder_position_ids` are of a table of their own.
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, int]]] = {
    "bert": ("bert", PLAIN, {"input_ids": 50, "position_ids": 40, "token_type_ids": 2}),
    "roberta": ("roberta", PLAIN, {"input_ids": 50, "position_ids": 40}),
    "electra": ("electra", PLAIN | {"embedding_size": 8}, {"input_ids": 50, "position_ids": 40, "token_type_ids": 2}),
    "distilbert": ("distilbert", PLAIN, {"input_ids": 50}),
    "gpt2": ("gpt2", SIZES | {"max_position_embeddings": 40}, {"input_ids": 50, "position_ids": 40,
                                                             "token_type_ids": 50}),
    "bart": ("bart", PLAIN, {"input_ids": 50, "position_ids": 42, "decoder_position_ids": 42,
                             "decoder_input_ids": 50}),
    "xlm": ("xlm", SIZES | {"num_languages": 3, "max_position_embeddings": 40}, {"input_ids": 50, "langs": 3,
                                                                                "position_ids": 40}),
    "axes": ("reformer", AXIAL, {"input_ids": 50, "position_ids": 32}),
    "clusters": ("transfo_xl", CLUSTERS | {"embedding_divisor": 2}, {"input_ids": 50}),
    "clusters of one width": ("transfo_xl", CLUSTERS | {"embedding_divisor": 1}, {"input_ids": 50}),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_ids_beyond_a_table(name: str) -> None:
    spec, sizes, inputs = MODELS[name]
    model = mw.build(spec, **sizes)
    ids = torch.arange(3, 11).view(2, 4)
    given = {"input_ids": ids} | ({"decoder_input_ids": ids} if "decoder_input_ids" in model.inputs else {})
    for field, rows in inputs.items():
        for value in (rows, -1):
            wrong = torch.zeros_like(ids)
            wrong[1, 2] = value
            with pytest.raises(mw.UsageError, match=f"^error: {field} has {value}, .* rows 0 to {rows - 1}") as caught:
                model(**given | {field: wrong})
            assert ("another model's" in str(caught.value)) == field.endswith("input_ids")
        model(**given | {field: torch.full_like(ids, rows - 1)})


def test_a_fault_within_a_table_is_not_the_ids() -> None:
    table = AdaptiveLookup(size=50, width=8, hidden_size=8, cutoffs=[10, 30], divisor=2)
    table.tables[1] = table.tables[0]  # which has fewer rows
    with pytest.raises(IndexError):
        table(Context(input_ids=torch.tensor([[25]])))
