"""Models of an encoder and a decoder: how they decode, compile and export, what they take and refuse."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import modelwright as mw
from modelwright.assembler.language.spec import find_config_matches
from modelwright.blocks import attention
from modelwright.blocks.position_bias import BucketedBias

TINY = {
    "t5": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_decoder_layers": 2,
           "num_attention_heads": 2, "attention_head_size": 5, "intermediate_size": 24,
           "relative_attention_num_buckets": 8, "relative_attention_max_distance": 12},
    "bart": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 3, "num_decoder_layers": 2,
             "num_attention_heads": 4, "num_decoder_attention_heads": 2, "intermediate_size": 24,
             "decoder_intermediate_size": 20, "max_position_embeddings": 32},
}  # fmt: skip
FLAT = {"num_hidden_layers": 1, "num_decoder_layers": 1}  # for what compiles: fast
generator = torch.Generator().manual_seed(0)
IDS, TARGET = (torch.randint(5, 60, shape, generator=generator) for shape in ((2, 9), (2, 7)))
MASK = torch.ones_like(IDS)
MASK[1, 6:] = 0
INPUTS = {"input_ids": IDS, "attention_mask": MASK, "decoder_input_ids": TARGET}
both = pytest.mark.parametrize("spec", TINY)


@pytest.fixture(autouse=True)
def compiler() -> Iterator[None]:
    """Torch counts what it compiles of `Model.forward`, whatever the model, and stops at a limit."""
    yield
    torch._dynamo.reset()


def tiny(spec: str, head: str | list[str] | None = "seq2seq_lm", **more: object) -> mw.Model:
    torch.manual_seed(0)
    return mw.build(spec, head=head, **(TINY[spec.removesuffix("_encoder")] | {"initializer_range": 0.3} | more))


def close(found: Tensor, expected: Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=atol)


@both
@pytest.mark.parametrize("padded", [False, True])
def test_step_by_step_equals_full(spec: str, padded: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(spec)
    target_mask = torch.ones_like(TARGET)
    target_mask[1, :2] = 0 if padded else 1
    with torch.no_grad():
        full = model(**INPUTS, decoder_attention_mask=target_mask if padded else None, output_attentions=True)
        monkeypatch.setattr(model.encoder, "forward", None)  # which runs no more
        projected = []
        model.decoder.layers[1].cross_attention.key.register_forward_hook(lambda *_: projected.append(1))
        cache, steps = None, []
        for start, stop in ((0, 3), (3, 4), (4, 6), (6, 7)):
            output = model(
                encoder_outputs=full, attention_mask=MASK, decoder_input_ids=TARGET[:, start:stop], use_cache=True,
                decoder_attention_mask=target_mask[:, :stop] if padded else None, past_key_values=cache,
                output_attentions=True,
            )  # fmt: skip
            cache = output.past_key_values
            steps.append(output.logits)
    real = target_mask.bool()
    close(torch.cat(steps, 1)[real], full.logits[real])
    close(output.decoder_attentions[1], full.decoder_attentions[1][:, :, -1:])
    close(output.cross_attentions[1], full.cross_attentions[1][:, :, -1:])
    assert len(projected) == 1 and cache.get_seq_length() == 7
    close(output.encoder_attentions[0], full.encoder_attentions[0])


@both
def test_encoding_again_leaves_the_cache_alone(spec: str) -> None:
    model = tiny(spec)
    with torch.no_grad():
        cache = model(**INPUTS | {"decoder_input_ids": TARGET[:, :4]}, use_cache=True).past_key_values
        found = model(**INPUTS | {"decoder_input_ids": TARGET[:, 4:]}, past_key_values=cache)
    close(found.logits, model(**INPUTS).logits[:, 4:])
    assert len(cache) == 2


@both
def test_cache_of_four_tensors_a_layer(spec: str) -> None:
    model = tiny(spec)
    with torch.no_grad():
        full = model(**INPUTS)
        cache = model(**INPUTS | {"decoder_input_ids": TARGET[:, :4]}, use_cache=True).past_key_values
        layers = [(*(t.clone() for t in pair), *cache.cross(layer)) for layer, pair in enumerate(cache)]
        found = model(encoder_outputs=(torch.zeros(2, 9, 16),), attention_mask=MASK, decoder_input_ids=TARGET[:, 4:],
                      past_key_values=layers)  # fmt: skip
    close(found.logits, full.logits[:, 4:])


@both
def test_encoder_outputs_in_every_form(spec: str) -> None:
    model = tiny(spec)
    everything = {"output_hidden_states": True, "output_attentions": True}
    with torch.no_grad():
        full = model(**INPUTS, **everything)
        rest = {name: value for name, value in INPUTS.items() if name != "input_ids"}
        states = (full.encoder_last_hidden_state, full.encoder_hidden_states, full.encoder_attentions)
        for earlier in (states[0], states[:1], states, full):
            found = model(**rest, encoder_outputs=earlier)
            close(found.logits, full.logits)
            assert found.encoder_last_hidden_state is states[0]
        assert found.encoder_hidden_states is states[1] and found.encoder_attentions is states[2]


def test_encoder_outputs_of_the_encoder_alone() -> None:
    model = tiny("t5")
    alone = mw.build("t5_encoder", weights=model.state_dict(), allow_unexpected=True, **TINY["t5"])
    with torch.no_grad():
        encoded = alone(IDS, attention_mask=MASK, output_hidden_states=True)
        found = model(encoder_outputs=encoded, attention_mask=MASK, decoder_input_ids=TARGET)
        close(found.logits, model(**INPUTS).logits)
    assert found.encoder_hidden_states is encoded.hidden_states


@both
@pytest.mark.parametrize("weights", [False, True])
def test_bias_and_mask_are_made_once_a_pass(spec: str, weights: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    model = tiny(spec)
    masks, biases = [], []
    attend = attention.attend

    def spy(*args, **named):
        masks.append(named["mask"])
        return attend(*args, **named)

    monkeypatch.setattr(attention, "attend", spy)
    for module in model.modules():
        if isinstance(module, BucketedBias):
            module.register_forward_hook(lambda *_: biases.append(1))
    model(**INPUTS, decoder_attention_mask=torch.ones_like(TARGET), output_attentions=weights)
    encoder, own, cross = masks[:3], masks[3::2], masks[4::2]
    for one in (encoder, own, cross):
        assert one[0] is not None and all(mask is one[0] for mask in one)
    assert len(biases) == (2 if spec == "t5" else 0)


@both
@pytest.mark.parametrize("masked", [False, True])
def test_compiles_whole_and_exports_for_any_sizes(spec: str, masked: bool) -> None:
    model = tiny(spec, **FLAT)
    names = ("input_ids", "attention_mask", "decoder_input_ids", "decoder_attention_mask")
    inputs = {name: value for name, value in INPUTS.items() if masked or "mask" not in name}
    inputs |= {"decoder_attention_mask": torch.ones_like(TARGET)} if masked else {}
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        close(compiled(**inputs).logits, model(**inputs).logits)

        Dim = torch.export.Dim
        batch, source, target = Dim("batch", min=1, max=64), Dim("source", min=2, max=32), Dim("target", min=2, max=32)
        sizes = {name: {0: batch, 1: target if name.startswith("decoder") else source} for name in names}
        exported = torch.export.export(model, (), inputs, dynamic_shapes={n: sizes[n] for n in inputs}).module()
        other = {name: torch.ones(5, 11 if name.startswith("decoder") else 13, dtype=torch.long) for name in inputs}
        close(exported(**other).logits, model(**other).logits)


def test_compiles_where_the_decoder_reads_the_encoders_text() -> None:
    model = tiny("bart", "sequence_classification", **FLAT)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        close(compiled(IDS, attention_mask=MASK).logits, model(IDS, attention_mask=MASK).logits)


@both
def test_decoding_with_the_cache_compiles_whole(spec: str) -> None:
    model = tiny(spec, **FLAT)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        full = model(**INPUTS)
        states, cache, steps = (full.encoder_last_hidden_state,), None, []
        for position in range(3):
            output = compiled(encoder_outputs=states, attention_mask=MASK, use_cache=True, past_key_values=cache,
                              decoder_input_ids=TARGET[:, position : position + 1])  # fmt: skip
            cache = output.past_key_values
            steps.append(output.logits)
    close(torch.cat(steps, 1), full.logits[:, :3])


@both
def test_bfloat16_is_close(spec: str) -> None:
    with torch.no_grad():
        exact = tiny(spec)(**INPUTS).logits
        model = mw.build(spec, weights=tiny(spec).state_dict(), head="seq2seq_lm", dtype="bfloat16", **TINY[spec])
        rough = model(**INPUTS).logits
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() / exact.norm() < 0.05  # bfloat16 has 8 bits


def test_labels_of_several_heads_by_name() -> None:
    model = tiny("bart", ["seq2seq_lm", "sequence_classification"])
    ids = IDS.clone()
    ids[:, -1] = 2
    output = model(ids, labels={"seq2seq_lm": ids, "sequence_classification": torch.tensor([0, 2])})
    shifted = torch.cat([torch.full((2, 1), 2), ids[:, :-1]], 1)
    close(output.heads["seq2seq_lm"]["logits"], model(ids, decoder_input_ids=shifted).heads["seq2seq_lm"]["logits"])


@pytest.mark.parametrize(
    ("spec", "head", "call", "message"),
    [
        ("t5", "seq2seq_lm", lambda m: m(IDS), "give decoder_input_ids (or decoder_inputs_embeds), or labels"),
        ("t5", "seq2seq_lm", lambda m: m(decoder_input_ids=TARGET), "or encoder_outputs of an earlier call"),
        ("t5", "seq2seq_lm", lambda m: m(IDS, decoder_input_ids=TARGET, decoder_inputs_embeds=torch.zeros(2, 7, 16)),
         "give either decoder_input_ids or decoder_inputs_embeds"),
        ("t5", "seq2seq_lm", lambda m: m(IDS, position_ids=IDS), "takes no input `position_ids`"),
        ("bart", "seq2seq_lm", lambda m: m(IDS, encoder_hidden_states=IDS), "takes no input `encoder_hidden_states`"),
        ("bart", "seq2seq_lm", lambda m: m(encoder_outputs=torch.zeros(2, 9, 16)), "the decoder has no input"),
        ("bart", "seq2seq_lm", lambda m: m(torch.zeros(1, 40, dtype=torch.long)),
         "a sequence of 40 tokens, but the model has 32 positions"),
        ("bart", "seq2seq_lm", lambda m: m(IDS, decoder_input_ids=torch.zeros(2, 33, dtype=torch.long)),
         "a sequence of 33 tokens, but the model has 32 positions"),
        ("bart", "seq2seq_lm", lambda m: m(IDS, attention_mask=MASK[:, :5], decoder_input_ids=TARGET), "does not fit"),
        ("t5", "seq2seq_lm", lambda m: m(**INPUTS, decoder_attention_mask=torch.ones(2, 5)),
         "decoder_attention_mask of shape (2, 5) does not fit: attention sees 7 positions here"),
        ("t5", "seq2seq_lm",
         lambda m: m(encoder_outputs=torch.zeros(2, 9, 16), attention_mask=MASK[:, :5], decoder_input_ids=TARGET),
         "error: attention_mask of shape (2, 5) does not fit: attention sees 9 positions here"),
        ("bart", "sequence_classification", lambda m: m(IDS, decoder_input_ids=TARGET), "in 9 ids, and there are 7"),
    ],
)  # fmt: skip
def test_bad_inputs_are_one_clear_error(spec: str, head: str, call, message: str) -> None:
    with pytest.raises(mw.ModelwrightError) as error:
        call(tiny(spec, head))
    assert message in str(error.value) and len(error.value.diagnostics) == 1


def test_the_encoder_alone_of_a_whole_checkpoint(tmp_path: Path) -> None:
    model = tiny("t5", tie_word_embeddings=False, feed_forward_proj="gated-gelu")
    model.save(tmp_path / "whole")
    alone = mw.build("t5_encoder", weights=tmp_path / "whole")
    report = alone.load_report
    stored = load_file(tmp_path / "whole" / "model.safetensors")
    assert not report.missing and not report.unexpected and not report.fresh and not report.ignored
    assert set(report.unused) == {name for name in stored if name.startswith(("decoder.", "lm_head."))}
    assert mw.build(weights=tmp_path / "whole").spec.name == "t5"
    with torch.no_grad():
        expected = model(**INPUTS).encoder_last_hidden_state
        close(alone(IDS, attention_mask=MASK).last_hidden_state, expected)
    alone.save(tmp_path / "alone")
    again = mw.build(weights=tmp_path / "alone")
    assert again.spec.name == "t5_encoder" and not again.load_report.unused
    assert find_config_matches({"model_type": "t5"}) == ["t5"]


def test_old_files_store_more_than_they_use(tmp_path: Path) -> None:
    tiny("t5").save(tmp_path)
    file = tmp_path / "model.safetensors"
    tensors = load_file(file)
    shared, unread = tensors["shared.weight"], "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    more = ["encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight"]
    save_file(tensors | {name: shared.clone() for name in more} | {unread: torch.ones(8, 2)}, file)
    report = mw.build(weights=tmp_path, head="seq2seq_lm").load_report
    assert set(report.duplicates) == set(more) and report.ignored == [unread]


def test_an_own_head_whatever_the_config_says_of_ties(tmp_path: Path) -> None:
    """transformers 5 writes `tie_word_embeddings: true` over T5 1.1, and beside it what it has made of false."""
    before = tiny("t5", tie_word_embeddings=False)
    before.save(tmp_path)
    file = tmp_path / "config.json"
    config = json.loads(file.read_text()) | {"tie_word_embeddings": True, "scale_decoder_outputs": False}
    file.write_text(json.dumps(config))
    model = mw.build(weights=tmp_path, head="seq2seq_lm")
    close(model(**INPUTS).logits, before(**INPUTS).logits)
    model.save(tmp_path)
    config = json.loads(file.read_text())
    assert config["tie_word_embeddings"] is False and "scale_decoder_outputs" not in config


def test_bart_without_a_head_gives_one_a_fresh_bias(tmp_path: Path) -> None:
    tiny("bart", None).save(tmp_path)
    model = mw.build(weights=tmp_path, head="seq2seq_lm")
    assert model.load_report.fresh == ["heads.seq2seq_lm.projection.bias"]
    assert not model.heads["seq2seq_lm"].projection.bias.any()
    assert not model.heads["seq2seq_lm"].projection.bias.requires_grad


def test_configs_of_2020() -> None:
    config = {
        "_num_labels": 3, "activation_dropout": 0.0, "activation_function": "gelu", "add_bias_logits": False,
        "add_final_layer_norm": False, "architectures": ["BartForConditionalGeneration"], "attention_dropout": 0.0,
        "bos_token_id": 0, "classif_dropout": 0.25, "d_model": 16, "decoder_attention_heads": 2, "decoder_ffn_dim": 20,
        "decoder_layerdrop": 0.0, "decoder_layers": 1, "decoder_start_token_id": 2, "dropout": 0.1,
        "early_stopping": True, "encoder_attention_heads": 4, "encoder_ffn_dim": 24, "encoder_layerdrop": 0.0,
        "encoder_layers": 2, "eos_token_id": 2, "extra_pos_embeddings": 2, "force_bos_token_to_be_generated": True,
        "gradient_checkpointing": False, "id2label": {"0": "a", "1": "b", "2": "c"}, "init_std": 0.02,
        "is_encoder_decoder": True, "label2id": {"a": 0, "b": 1, "c": 2}, "length_penalty": 2.0, "max_length": 142,
        "max_position_embeddings": 32, "min_length": 56, "model_type": "bart", "no_repeat_ngram_size": 3,
        "normalize_before": False, "normalize_embedding": True, "num_beams": 4, "num_hidden_layers": 2,
        "output_past": True, "pad_token_id": 1, "prefix": " ", "save_step": 58, "scale_embedding": False,
        "static_position_embeddings": False, "task_specific_params": {"summarization": {"num_beams": 4}},
        "vocab_size": 60,
    }  # fmt: skip
    hparams = mw.build(config=config, dry_run=True).config
    assert (hparams.num_hidden_layers, hparams.num_decoder_layers, hparams.classifier_dropout) == (2, 1, 0.25)
    with pytest.raises(mw.WeightsError, match="can only build False"):
        mw.build(config=config | {"normalize_before": True}, dry_run=True)

    config = {
        "architectures": ["T5WithLMHeadModel"], "d_ff": 24, "d_kv": 5, "d_model": 16, "decoder_start_token_id": 0,
        "dropout_rate": 0.1, "eos_token_id": 1, "initializer_factor": 1.0, "is_encoder_decoder": True,
        "layer_norm_epsilon": 1e-06, "model_type": "t5", "n_positions": 512, "num_heads": 2, "num_layers": 3,
        "output_past": True, "pad_token_id": 0, "relative_attention_num_buckets": 32, "vocab_size": 60,
        "task_specific_params": {"summarization": {"prefix": "summarize: "}},
    }  # fmt: skip
    model = mw.build(config=config, dry_run=True)
    assert model.spec.name == "t5" and model.config.num_decoder_layers == 3
    assert model.encoder.position_bias.max_distance == 128 and model.kept_config["task_specific_params"]


@pytest.mark.parametrize(
    ("projection", "act", "gated"),
    [("relu", "relu", False), ("gated-gelu", "gelu_tanh", True), ("gated-silu", "silu", True), ("gelu", "gelu", False)],
)
def test_the_kind_of_feed_forward_goes_both_ways(tmp_path: Path, projection: str, act: str, gated: bool) -> None:
    model = tiny("t5", feed_forward_proj=projection)
    assert (model.config.hidden_act, model.config.feed_forward_gated) == (act, gated)
    model.save(tmp_path)
    assert mw.build(weights=tmp_path).config == model.config


@pytest.mark.parametrize("head", [None, "seq2seq_lm"])
@both
def test_describe_counts_both_sides(spec: str, head: str | None) -> None:
    from modelwright.assembler.describe import describe

    model = mw.build(spec, head=head, dry_run=True, **TINY[spec])
    short, long = (describe(model, length=length).flops for length in (8, 16))
    assert 0 < 2 * short < long
