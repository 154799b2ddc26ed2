"""Generation that transformers 5.23 has no more, as 4.37.2 does it: Transformer-XL, groups of beams, contrastive
search; Reformer, whose head 5.23 gets wrong; and RoBERTa, whose positions it does. Run:
`python tests/golden/generation.py` (see README.md).

Each folder holds a checkpoint and `generation.json`: calls with their options, and the ids and scores that came back.
Every call is run again with noise of 3e-5 on all weights, six times: ids that change with it are no reference.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from record import draw_weights, tokens

HERE = Path(__file__).resolve().parent / "generation"
VOCABULARY = 60
BEAMS = {"num_beams": 4, "early_stopping": True}
CALLS: dict[str, dict[str, Any]] = {
    "greedy": {"max_new_tokens": 12},
    "greedy_ngrams": {"max_new_tokens": 16, "no_repeat_ngram_size": 2, "repetition_penalty": 1.3},
    "beams": {**BEAMS, "max_new_tokens": 12},
    "beams_returned": {**BEAMS, "max_new_tokens": 12, "num_return_sequences": 3, "length_penalty": 2.0},
    "beams_ngrams": {**BEAMS, "max_new_tokens": 14, "no_repeat_ngram_size": 2, "min_length": 10},
}
GROUPS: dict[str, dict[str, Any]] = {
    "groups_of_two": {"num_beams": 4, "num_beam_groups": 2, "diversity_penalty": 0.7, "max_new_tokens": 10},
    "groups_of_one": {
        "num_beams": 3, "num_beam_groups": 3, "diversity_penalty": 2.5, "max_new_tokens": 10, "num_return_sequences": 3,
    },
    "groups_that_stop": {
        "num_beams": 6, "num_beam_groups": 3, "diversity_penalty": 0.3, "max_new_tokens": 12, "early_stopping": True,
        "num_return_sequences": 4, "no_repeat_ngram_size": 2,
    },
}  # fmt: skip
CONTRASTIVE: dict[str, dict[str, Any]] = {
    "contrastive": {"top_k": 4, "penalty_alpha": 0.6, "max_new_tokens": 12},
    "contrastive_ngrams": {"top_k": 7, "penalty_alpha": 0.3, "max_new_tokens": 12, "no_repeat_ngram_size": 2},
}
TRANSFO_XL = {
    "vocab_size": VOCABULARY, "d_model": 16, "d_embed": 16, "n_head": 2, "d_head": 8, "d_inner": 20, "n_layer": 2,
    "eos_token_id": 59, "pad_token_id": 58,
}  # fmt: skip
LAYERS = {
    "vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 20, "max_position_embeddings": 40, "is_decoder": True, "bos_token_id": 59, "eos_token_id": 59,
}  # fmt: skip
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, dict[str, Any]]]] = {
    "transfo_xl": (
        "TransfoXLLMHeadModel",
        TRANSFO_XL | {"cutoffs": [10, 30], "div_val": 2, "mem_len": 8, "clamp_len": 6, "same_length": True}, CALLS,
    ),
    "transfo_xl_without_clusters": (
        "TransfoXLLMHeadModel",
        TRANSFO_XL | {"cutoffs": [], "div_val": 1, "mem_len": 30, "clamp_len": -1, "same_length": False}, CALLS,
    ),
    "reformer": (
        "ReformerModelWithLMHead",
        {
            "vocab_size": VOCABULARY, "hidden_size": 24, "attention_head_size": 8, "num_attention_heads": 2,
            "feed_forward_size": 32, "attn_layers": ["local", "lsh", "local"], "axial_pos_shape": [4, 8],
            "axial_pos_embds_dim": [8, 16], "max_position_embeddings": 32, "local_attn_chunk_length": 4,
            "lsh_attn_chunk_length": 8, "hash_seed": 7, "is_decoder": True, "use_cache": False, "num_buckets": 4,
            "eos_token_id": 59, "pad_token_id": 58,
        },
        CALLS,
    ),
    "gpt2": (
        "GPT2LMHeadModel",
        {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 40, "bos_token_id": 59,
         "eos_token_id": 59, "pad_token_id": 58},
        GROUPS | CONTRASTIVE,
    ),
    "bart": (
        "BartForConditionalGeneration",
        {"vocab_size": VOCABULARY, "d_model": 16, "encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 20,
         "decoder_ffn_dim": 20, "encoder_attention_heads": 2, "decoder_attention_heads": 2,
         "max_position_embeddings": 40},
        GROUPS | CONTRASTIVE,
    ),
    "t5": (
        "T5ForConditionalGeneration",
        {"vocab_size": VOCABULARY, "d_model": 16, "num_layers": 2, "num_heads": 2, "d_kv": 8, "d_ff": 20,
         "decoder_start_token_id": 0},
        GROUPS | CONTRASTIVE,
    ),
    "llama": (
        "LlamaForCausalLM",
        {"vocab_size": VOCABULARY, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
         "num_key_value_heads": 1, "intermediate_size": 20, "max_position_embeddings": 40, "bos_token_id": 59,
         "eos_token_id": 59, "pad_token_id": 58},
        GROUPS | CONTRASTIVE,
    ),
    "ctrl": (
        "CTRLLMHeadModel",
        {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 2, "dff": 20, "n_positions": 40,
         "eos_token_id": 59, "pad_token_id": 58},
        GROUPS | CONTRASTIVE,
    ),
    "bert": ("BertLMHeadModel", LAYERS | {"pad_token_id": 58}, GROUPS | CONTRASTIVE),
    "roberta": ("RobertaForCausalLM", LAYERS | {"pad_token_id": 1, "suppress_tokens": [1]}, CALLS | CONTRASTIVE),
}  # fmt: skip


def run(model: nn.Module, ids: Tensor, options: dict[str, Any]) -> dict[str, Any]:
    with torch.no_grad():
        output = model.generate(ids, return_dict_in_generate=True, output_scores=True, **options)
    scores = output.get("sequences_scores")
    return {"sequences": output.sequences.tolist(), "scores": None if scores is None else scores.tolist()}


def shaken(model: nn.Module, seed: int) -> dict[str, Tensor]:
    """All weights with relative noise of 3e-5; tied ones get the same."""
    generator = torch.Generator().manual_seed(seed)
    kept = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 3e-5 * torch.randn(parameter.shape, generator=generator))
    return kept


def record_case(name: str, seed: int) -> None:
    cls, config, calls = MODELS[name]
    folder = HERE / name
    folder.mkdir(parents=True)
    model_class = getattr(transformers, cls)
    model = model_class(model_class.config_class(**config)).eval()
    draw_weights(model, seed)
    if name == "bart":
        model.final_logits_bias.normal_(0, 0.3, generator=torch.Generator().manual_seed(seed))
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink(missing_ok=True)
    model = model_class.from_pretrained(folder).eval()
    ids = tokens(seed, 4, VOCABULARY - 2, 2, 5)
    results = {call: run(model, ids, options) for call, options in calls.items()}
    for noise in range(6):
        kept = shaken(model, noise)
        for call, options in calls.items():
            again = run(model, ids, options)["sequences"]
            assert again == results[call]["sequences"], f"{name}, {call}: noise changes the ids"
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.copy_(kept[key])
    case = {
        "reference": f"transformers {transformers.__version__}, torch {torch.__version__}",
        "input_ids": ids.tolist(),
        "calls": {call: {"options": options, **results[call]} for call, options in calls.items()},
    }
    (folder / "generation.json").write_text(json.dumps(case) + "\n")
    print(name, {call: len(result["sequences"][0]) for call, result in results.items()})


def main() -> None:
    torch.set_num_threads(1)
    shutil.rmtree(HERE, ignore_errors=True)
    for seed, name in enumerate(MODELS, start=20):
        record_case(name, seed)


if __name__ == "__main__":
    main()
