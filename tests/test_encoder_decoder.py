"""Encoder and decoder in one model: what a call may leave out, decoding step by step, and what is shared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import modelwright as mw

TINY: dict[str, dict[str, Any]] = {
    "t5": {"vocab_size": 99, "hidden_size": 32, "attention_head_size": 6, "intermediate_size": 37,
           "num_hidden_layers": 3, "num_decoder_layers": 2, "num_attention_heads": 4},
    "bart": {"vocab_size": 99, "hidden_size": 32, "intermediate_size": 37, "num_hidden_layers": 3,
             "num_decoder_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 40},
}  # fmt: skip


@pytest.fixture(params=TINY)
def model(request: pytest.FixtureRequest) -> mw.Model:
    torch.manual_seed(0)
    model = mw.build(request.param, head="seq2seq_lm", **TINY[request.param])
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn_like(parameter)
    return model


def texts(source: int = 9, target: int = 6) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    mask = torch.ones(3, source, dtype=torch.long)
    mask[1, source - 3 :] = 0
    return {"input_ids": torch.randint(5, 99, (3, source), generator=generator), "attention_mask": mask,
            "decoder_input_ids": torch.randint(5, 99, (3, target), generator=generator)}  # fmt: skip


@torch.no_grad()
def test_steps_with_a_cache_are_the_whole_pass(model: mw.Model) -> None:
    inputs = texts()
    whole = model(**inputs)
    target = inputs.pop("decoder_input_ids")
    output = model(**inputs, decoder_input_ids=target[:, :2], use_cache=True)
    logits = [output.logits]
    for step in range(2, target.shape[1]):
        output = model(
            encoder_outputs=(output.encoder_last_hidden_state,), attention_mask=inputs["attention_mask"],
            decoder_input_ids=target[:, step : step + 1], past_key_values=output.past_key_values,
        )  # fmt: skip
        logits.append(output.logits)
    torch.testing.assert_close(torch.cat(logits, dim=1), whole.logits, atol=2e-5, rtol=0)


@torch.no_grad()
def test_an_encoding_is_used_again(model: mw.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = texts()
    whole = model(**inputs, output_hidden_states=True)
    del inputs["input_ids"]
    monkeypatch.setattr(model.encoder, "forward", None)  # would fail if it ran
    for earlier in (whole.encoder_last_hidden_state, (whole.encoder_last_hidden_state,)):
        again = model(**inputs, encoder_outputs=earlier)
        assert torch.equal(again.logits, whole.logits)
        assert torch.equal(again.encoder_last_hidden_state, whole.encoder_last_hidden_state)
    encoded = mw.ModelOutput(
        last_hidden_state=whole.encoder_last_hidden_state, hidden_states=whole.encoder_hidden_states
    )
    again = model(**inputs, encoder_outputs=encoded)
    assert again.encoder_hidden_states is whole.encoder_hidden_states and torch.equal(again.logits, whole.logits)


@torch.no_grad()
def test_labels_are_what_the_decoder_reads(model: mw.Model) -> None:
    inputs = texts()
    labels = inputs.pop("decoder_input_ids")
    labels[0, 4:] = -100
    start, padding = model.config.decoder_start_token_id, model.config.pad_token_id
    shifted = torch.cat([torch.full((3, 1), start), labels[:, :-1]], dim=1)
    expected = model(**inputs, decoder_input_ids=shifted.masked_fill(shifted == -100, padding), labels=labels)
    assert torch.equal(model(**inputs, labels=labels).loss, expected.loss)


def test_what_a_call_lacks_is_said(model: mw.Model) -> None:
    inputs = texts()
    with pytest.raises(mw.UsageError, match="give either input_ids or inputs_embeds"):
        model(decoder_input_ids=inputs["decoder_input_ids"])
    with pytest.raises(mw.UsageError, match="takes no input `encoder_hidden_states`"):
        model(**inputs, encoder_hidden_states=torch.zeros(3, 9, 32))
    with pytest.raises(mw.UsageError, match="takes no input `mems`"):
        model(**inputs, mems=[])


def test_a_decoder_without_a_text() -> None:
    model = mw.build("t5", **TINY["t5"])
    with pytest.raises(mw.UsageError, match="the decoder has no input") as error:
        model(texts()["input_ids"])
    assert "decoder_input_ids" in str(error.value)
    assert mw.build("bart", **TINY["bart"])(texts()["input_ids"]).last_hidden_state.shape == (3, 9, 32)


def test_positions_run_out() -> None:
    with pytest.raises(mw.UsageError, match="a sequence of 41 tokens, but the model has 40 positions"):
        mw.build("bart", **TINY["bart"])(torch.ones(1, 41, dtype=torch.long))


@torch.no_grad()
def test_a_bias_is_made_once_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model = mw.build("t5", **TINY["t5"])
    seen: list[torch.Tensor] = []
    original = torch.nn.functional.scaled_dot_product_attention

    def attention(*arguments: Any, attn_mask: torch.Tensor | None = None, **options: Any) -> torch.Tensor:
        seen.append(attn_mask)
        return original(*arguments, attn_mask=attn_mask, **options)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", attention)
    model(**texts())
    assert len(seen) == 3 + 2 * 2
    encoder, own, cross = seen[:3], seen[3::2], seen[4::2]
    assert all(mask is encoder[0] for mask in encoder) and encoder[0].is_floating_point()
    assert all(mask is own[0] for mask in own) and own[0].is_floating_point()
    assert all(mask is cross[0] and mask.dtype == torch.bool for mask in cross)


@torch.no_grad()
def test_compiles_whole_and_exports_for_any_size(model: mw.Model) -> None:
    inputs = texts()
    expected = model(**inputs)
    compiled = torch.compile(model, fullgraph=True, backend="eager")(**inputs)
    torch.testing.assert_close(compiled[0], expected[0], atol=2e-5, rtol=0)

    batch, source, target = (torch.export.Dim(name, min=2, max=30) for name in ("batch", "source", "target"))
    sizes = {"input_ids": {0: batch, 1: source}, "attention_mask": {0: batch, 1: source},
             "decoder_input_ids": {0: batch, 1: target}}  # fmt: skip
    exported = torch.export.export(model, (), inputs, dynamic_shapes=sizes)
    other = {name: tensor[:2] for name, tensor in texts(13, 4).items()}
    torch.testing.assert_close(exported.module()(**other)[0], model(**other)[0], atol=2e-5, rtol=0)


@pytest.mark.parametrize("spec", TINY)
def test_bfloat16(spec: str) -> None:
    output = mw.build(spec, head="seq2seq_lm", dtype="bfloat16", **TINY[spec])(**texts())
    assert output.logits.dtype == torch.bfloat16 and output.logits.isfinite().all()


class TestEncoderAlone:
    """A spec that takes the decoder away."""

    @pytest.fixture
    def checkpoint(self, tmp_path: Path) -> Path:
        mw.build("t5", head="seq2seq_lm", **TINY["t5"]).save(tmp_path / "t5")
        return tmp_path / "t5"

    @torch.no_grad()
    def test_reads_any_checkpoint(self, checkpoint: Path, tmp_path: Path) -> None:
        whole, alone = mw.build(weights=checkpoint), mw.build("t5_encoder", weights=checkpoint)
        assert (whole.spec.name, alone.spec.name) == ("t5", "t5_encoder")
        assert alone.part_names == ("encoder_embeddings", "encoder") and not alone.load_report.missing
        assert any(name.startswith("decoder.block.0") for name in alone.load_report.ignored)
        inputs = texts()
        expected = whole(**inputs).encoder_last_hidden_state
        del inputs["decoder_input_ids"]
        assert torch.equal(alone(**inputs).last_hidden_state, expected)

        alone.save(tmp_path / "alone")
        again = mw.build(weights=tmp_path / "alone")
        assert again.spec.name == "t5_encoder" and torch.equal(again(**inputs).last_hidden_state, expected)

    def test_the_reference_reads_it(self, checkpoint: Path, tmp_path: Path) -> None:
        transformers = pytest.importorskip("transformers")
        mw.build("t5_encoder", weights=checkpoint).save(tmp_path / "alone")
        _, info = transformers.T5EncoderModel.from_pretrained(tmp_path / "alone", output_loading_info=True)
        assert not info["missing_keys"] and not info["unexpected_keys"]
