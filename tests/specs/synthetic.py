"""Tiny checkpoints of any spec, made from the spec alone: what they have is random, in every format it declares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from parity import randomise

import modelwright as mw
from modelwright.assembler.assemble import assemble_whole
from modelwright.assembler.language.validate import checked_hparams
from modelwright.assembler.weights.load import initialise
from modelwright.assembler.weights.mapping import find_sources, make_constant
from modelwright.assembler.weights.names import OWN_FORMAT

#: Sizes by the names that all specs share. Each differs from the others that it could be mistaken for.
SMALL: dict[str, Any] = {
    "vocab_size": 90, "hidden_size": 24, "embedding_size": 20, "num_hidden_layers": 3, "num_attention_heads": 3,
    "attention_head_size": 8, "intermediate_size": 36, "max_position_embeddings": 44, "type_vocab_size": 2,
    "relative_attention_num_buckets": 10, "memory_length": 6, "same_length": False, "cutoffs": [30, 60],
    "tie_projections": [False, True, True], "attn_layers": ["local", "lsh", "local"], "axial_pos_shape": [4, 11],
    "axial_pos_embds_dim": [10, 14], "local_chunk_length": 4, "lsh_chunk_length": 4, "num_buckets": 8,
}  # fmt: skip


def tiny_hparams(spec: mw.Spec, format: str) -> dict[str, Any]:
    """Small values for those of a spec's hparams that have a size of their own and that all its formats tell, and what
    one of these always has."""
    written = spec.composition.tree["hparams"]
    small = {name: value for name, value in SMALL.items() if written.get(name) and "$" not in str(written[name])}
    for each, section in spec.sections["weights"].items():
        rules = spec.sections["configs"].get(each) or {}
        told = {*(rules.get("read") or ()), *(rules.get("untold") or ()), *(section.get("shapes") or ())}
        small = {name: value for name, value in small.items() if name in told}
    return small | _words_of_all(spec) | ((spec.sections["configs"].get(format) or {}).get("always") or {})


def _words_of_all(spec: mw.Spec) -> dict[str, Any]:
    """Values that every format has a word for, where not all have one for the spec's own."""
    allowed: dict[str, list[list[Any]]] = {}
    for rules in spec.sections["configs"].values():
        for hparam, ways in (rules.get("read") or {}).items():
            words = [way["values"] for way in (ways if isinstance(ways, list) else [ways])
                     if isinstance(way, dict) and way.get("values")]  # fmt: skip
            if words:
                allowed.setdefault(hparam, []).append(list(words[0].values()))
    usual = spec.hparams()
    return {
        hparam: next(value for value in lists[0] if all(value in others for others in lists))
        for hparam, lists in allowed.items()
        if not all(usual[hparam] in values for values in lists)
    }


def tiny_original(name: str, format: str, folder: Path) -> mw.Model:
    """Save every part and every head of a spec with random weights, in our own names. It is one that a format can hold;
    what any of the spec's formats has no place for is what readers of that format take it for."""
    spec = mw.load_spec(name).with_overrides(tiny_hparams(mw.load_spec(name), format))
    whole = assemble_whole(spec, checked_hparams(spec))
    initialise(whole, device=torch.device("cpu"), dtype=torch.float32)
    randomise(whole.model)
    parameters = dict(whole.model.named_parameters())
    owners = {*whole.model.part_names, *(f"heads.{head}" for head in whole.model.heads)}
    for each, section in whole.sections["weights"].items():
        for source in find_sources(whole.model, section, each, fresh=owners):
            if not source.stored:
                constant = parameters[source.targets[0]].data
                constant.copy_(make_constant(source.absent, constant.shape))
    whole.model.save(folder, OWN_FORMAT)
    return whole.model
