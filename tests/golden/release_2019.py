"""Checkpoints as 2018 and 2019 wrote them, and what pytorch-transformers 1.2.0 computes from them (see README.md).

Run: `python tests/golden/release_2019.py`. All `.bin` files are in torch's old format, without the zip container. The
`*_2018` cases carry the names of the first releases: `gamma` and `beta` in BERT, no `transformer.` prefix in GPT-2, and
configs that say no more than those did.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytorch_transformers as reference
import torch
from torch import Tensor, nn

from record import Call, Outputs, draw_weights, record, tokens

HERE = Path(__file__).resolve().parent / "release_2019"
VOCABULARY = 50
save_old_format = functools.partial(torch.save, _use_new_zipfile_serialization=False)

BERT = reference.BertConfig(
    VOCABULARY, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
    max_position_embeddings=16,
)  # fmt: skip
GPT2 = reference.GPT2Config(VOCABULARY, n_positions=16, n_ctx=16, n_embd=24, n_layer=2, n_head=3)
XLM = {
    "vocab_size_or_config_json_file": VOCABULARY, "emb_dim": 16, "n_layers": 2, "n_heads": 2, "n_langs": 3,
    "max_position_embeddings": 12, "start_n_top": 3, "end_n_top": 2,
}  # fmt: skip
GPT = reference.OpenAIGPTConfig(VOCABULARY, n_positions=16, n_ctx=16, n_embd=24, n_layer=2, n_head=3)
ROBERTA = reference.RobertaConfig(
    VOCABULARY, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
    max_position_embeddings=18, type_vocab_size=1, layer_norm_eps=1e-5, num_labels=3,
)  # fmt: skip
DISTILBERT = {
    "vocab_size_or_config_json_file": VOCABULARY, "max_position_embeddings": 16, "n_layers": 2, "n_heads": 3, "dim": 24,
    "hidden_dim": 40,
}  # fmt: skip
TRANSFO_XL = {
    "vocab_size_or_config_json_file": VOCABULARY, "cutoffs": [10, 20], "d_model": 16, "d_embed": 16, "n_head": 3,
    "d_head": 6, "d_inner": 20, "n_layer": 2, "div_val": 2, "mem_len": 5, "clamp_len": 6,
}  # fmt: skip
XLNET = {
    "vocab_size_or_config_json_file": VOCABULARY, "d_model": 24, "n_layer": 2, "n_head": 3, "d_inner": 40, "mem_len": 6,
}  # fmt: skip


def old_bert_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    spelling = {"weight": "gamma", "bias": "beta"}
    return {re.sub(r"(?<=LayerNorm\.)(weight|bias)$", lambda m: spelling[m[0]], k): v for k, v in weights.items()}


def old_gpt2_names(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("transformer."): value for key, value in weights.items() if key != "lm_head.weight"}


# what stands where in the tuples, as far as we keep it
HEAD_OUTPUTS = {
    "pretraining": ("prediction_logits", "seq_relationship_logits"), "causal_lm": ("logits",), "masked_lm": ("logits",),
    "double_heads": ("logits", "mc_logits"), "sequence_classification": ("logits",),
    "question_answering": ("start_logits", "end_logits"),
    "beam_question_answering": (
        "start_top_log_probs", "start_top_index", "end_top_log_probs", "end_top_index", "cls_logits",
    ),
}  # fmt: skip


def run(model: nn.Module, call: Call, inputs: dict[str, Any], *, body: tuple[str, ...]) -> Outputs:
    module = model if call.head else getattr(model, model.base_model_prefix)
    return dict(zip(HEAD_OUTPUTS[call.head] if call.head else body, module(**inputs), strict=False))


def run_xlm(model: nn.Module, call: Call, inputs: dict[str, Any]) -> Outputs:
    """Word scores come as [batch * length, vocabulary] then; they are kept in three dimensions."""
    if call.head != "masked_lm":
        return run(model, call, inputs, body=("last_hidden_state",))
    return {"logits": model(**inputs)[0].view(*inputs["input_ids"].shape, VOCABULARY)}


run_bert = functools.partial(run, body=("last_hidden_state", "pooler_output"))
run_gpt2 = functools.partial(run, body=("last_hidden_state",))
run_xlnet = run_transfo_xl = functools.partial(run, body=("last_hidden_state", "mems"))


def bert_calls() -> list[Call]:
    inputs = {"input_ids": tokens(1, 0, VOCABULARY, 2, 9), "token_type_ids": tokens(2, 0, 2, 2, 9)}
    inputs["attention_mask"] = (torch.arange(9) < torch.tensor([[9], [6]])).long()
    return [Call("body", inputs), Call("logits", inputs, head="pretraining")]


def gpt2_calls() -> list[Call]:
    inputs = {"input_ids": tokens(3, 0, VOCABULARY, 2, 10)}
    return [Call("body", inputs), Call("logits", inputs, head="causal_lm")]


def xlm_calls(head: str, **more: Tensor) -> list[Call]:
    ids = tokens(6, 3, VOCABULARY, 2, 9)
    beam = head == "beam_question_answering"  # states of padding are all zero: no order among the likeliest
    if not beam:
        ids[1, 6:] = 2  # padding, which is to be found by its id where nothing else says it
    inputs = {"input_ids": ids, **more}
    masked = inputs | {"attention_mask": (torch.arange(9) < torch.tensor([[8], [6]])).long()}
    lengths = inputs | {"lengths": torch.tensor([7, 5])}
    hidden = {"p_mask": (torch.arange(9) < 1).float().expand(2, 9), "cls_index": torch.tensor([0, 4])}
    return [
        Call("body", inputs), Call("body_masked", masked), Call("body_lengths", lengths), Call("head", inputs, head),
        *([Call("head_hidden", inputs | hidden, head)] if beam else []),
    ]  # fmt: skip


def gpt_calls() -> list[Call]:
    inputs = {"input_ids": tokens(6, 0, VOCABULARY, 2, 10), "token_type_ids": tokens(7, 0, VOCABULARY, 2, 10)}
    choices = {"input_ids": tokens(8, 0, VOCABULARY, 2, 3, 6), "mc_token_ids": tokens(9, 0, 6, 2, 3)}
    return [
        Call("body", inputs),
        Call("logits", inputs, head="causal_lm"),
        Call("choices", choices, head="double_heads"),
        Call("last_tokens", {"input_ids": choices["input_ids"]}, head="double_heads"),
    ]


def masked_calls(head: str) -> list[Call]:
    """No id is that of padding: 1.2.0 counted the positions of padding like any others."""
    mask = (torch.arange(9) < torch.tensor([[9], [6]])).long()
    inputs = {"input_ids": tokens(10, 2, VOCABULARY, 2, 9), "attention_mask": mask}
    return [Call("body", inputs), Call("logits", inputs, head=head)]


def transfo_xl_calls() -> list[Call]:
    one, two = {"input_ids": tokens(4, 0, VOCABULARY, 2, 7)}, {"input_ids": tokens(5, 0, VOCABULARY, 2, 4)}
    return [
        Call("segment_1", one),
        Call("segment_2", two, carry={"mems": "segment_1"}),
        Call("logits", one, head="causal_lm"),
        Call("next_logits", two, head="causal_lm", carry={"mems": "segment_1"}),
    ]


def distilbert(cls: type[nn.Module], **hparams: Any) -> nn.Module:
    with torch.no_grad():  # it fills its table of positions in place
        return cls(reference.DistilBertConfig(**DISTILBERT, **hparams))


def xlnet_calls(mask: Tensor | None) -> list[Call]:
    """Two segments; then the second again, as the queries of three positions see it that come in a random order."""
    one = {"input_ids": tokens(6, 0, VOCABULARY, 2, 7), "token_type_ids": tokens(7, 0, 2, 2, 7)}
    two = {"input_ids": tokens(8, 0, VOCABULARY, 2, 5), "token_type_ids": tokens(9, 0, 3, 2, 5)}
    if mask is not None:
        one["attention_mask"] = mask
        rank = torch.tensor([[3, 0, 2, 4, 1], [1, 4, 0, 2, 3]])
        two["perm_mask"] = (rank[:, :, None] <= rank[:, None, :]).float()
    mapping = torch.nn.functional.one_hot(torch.tensor([[2, 4, 1], [0, 3, 4]]), 5).float()
    return [
        Call("segment_1", one),
        Call("segment_2", two, carry={"mems": "segment_1"}),
        Call("queries", two | {"target_mapping": mapping}, carry={"mems": "segment_1"}),
        Call("logits", two | {"target_mapping": mapping}, head="causal_lm"),
    ]


def xlnet(**hparams: Any) -> nn.Module:
    return reference.XLNetLMHeadModel(reference.XLNetConfig(**XLNET, **hparams))


def transfo_xl(**hparams: bool) -> nn.Module:
    return reference.TransfoXLLMHeadModel(reference.TransfoXLConfig(**TRANSFO_XL, **hparams))


def write(folder: Path, model: nn.Module, rename: Callable[[dict[str, Tensor]], dict[str, Tensor]] | None) -> None:
    folder.mkdir(parents=True)
    model.save_pretrained(str(folder))
    if rename is None:
        return
    save_old_format(rename(model.state_dict()), folder / "pytorch_model.bin")
    later = {"layer_norm_eps", "finetuning_task", "num_labels", "output_attentions", "output_hidden_states",
             "pruned_heads", "torchscript", "use_bfloat16"}  # fmt: skip
    config = {k: v for k, v in model.config.to_dict().items() if k not in later and not k.startswith("summary_")}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    torch.save = save_old_format  # what `save_pretrained` calls
    shutil.rmtree(HERE, ignore_errors=True)
    cases: dict[str, tuple[nn.Module, Any, list[Call], Any]] = {
        "bert": (reference.BertForPreTraining(BERT), None, bert_calls(), run_bert),
        "bert_2018": (reference.BertForPreTraining(BERT), old_bert_names, bert_calls(), run_bert),
        "gpt2": (reference.GPT2LMHeadModel(GPT2), None, gpt2_calls(), run_gpt2),
        "gpt2_2018": (reference.GPT2LMHeadModel(GPT2), old_gpt2_names, gpt2_calls(), run_gpt2),
        "transfo_xl": (transfo_xl(untie_r=True, same_length=True), None, transfo_xl_calls(), run_transfo_xl),
        "transfo_xl_shared_biases": (
            transfo_xl(untie_r=False, same_length=False, proj_share_all_but_first=False), None, transfo_xl_calls(),
            run_transfo_xl,
        ),
        "xlm": (
            reference.XLMWithLMHeadModel(reference.XLMConfig(**XLM)), None,
            xlm_calls("masked_lm", langs=tokens(7, 0, 3, 2, 9), token_type_ids=tokens(8, 0, 9, 2, 9)), run_xlm,
        ),
        "xlm_classes": (
            reference.XLMForSequenceClassification(
                reference.XLMConfig(**XLM | {"n_langs": 1, "num_labels": 3, "gelu_activation": False})
            ), None, xlm_calls("sequence_classification"), run_xlm,
        ),
        "xlm_answers": (
            reference.XLMForQuestionAnswering(reference.XLMConfig(**XLM | {"use_lang_emb": False})), None,
            xlm_calls("beam_question_answering"), run_xlm,
        ),
        "gpt": (reference.OpenAIGPTDoubleHeadsModel(GPT), None, gpt_calls(), run_gpt2),
        "roberta": (reference.RobertaForMaskedLM(ROBERTA), None, masked_calls("masked_lm"), run_bert),
        "roberta_classifier": (
            reference.RobertaForSequenceClassification(ROBERTA), None, masked_calls("sequence_classification"),
            run_bert,
        ),
        "distilbert": (distilbert(reference.DistilBertForMaskedLM), None, masked_calls("masked_lm"), run_gpt2),
        "distilbert_classifier": (
            distilbert(reference.DistilBertForSequenceClassification, sinusoidal_pos_embds=True, num_labels=3), None,
            masked_calls("sequence_classification"), run_gpt2,
        ),
        "distilbert_answers": (
            distilbert(reference.DistilBertForQuestionAnswering, activation="relu"), None,
            masked_calls("question_answering"), run_gpt2,
        ),
        "xlnet": (xlnet(), None, xlnet_calls((torch.arange(7) >= torch.tensor([[0], [2]])).long()), run_xlnet),
        "xlnet_uni": (  # which cannot mask more than one row
            xlnet(attn_type="uni", same_length=True, bi_data=True, clamp_len=4, reuse_len=4), None, xlnet_calls(None),
            run_xlnet,
        ),
    }  # fmt: skip
    for seed, (name, (model, rename, calls, runner)) in enumerate(cases.items()):
        draw_weights(model, seed)
        write(HERE / name, model, rename)
        with torch.no_grad():
            read, report = type(model).from_pretrained(str(HERE / name), output_loading_info=True)
        assert not report["unexpected_keys"], report
        for key, value in model.state_dict().items():
            assert torch.equal(value, read.state_dict()[key]), f"{key} did not survive the round trip"
        record(HERE / name, f"pytorch-transformers {reference.__version__}", read, calls, runner)


if __name__ == "__main__":
    main()
