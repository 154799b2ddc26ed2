"""Rotary positions and grouped heads: beside the reference's functions, in a variant of another family, with a cache,
compiled, and how configs spell them. Stacks that run their layers several times."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

import modelwright as mw
from modelwright.assembler.describe import describe
from modelwright.blocks import BlockError, Context, KeyValueCache
from modelwright.blocks.attention import Attention
from modelwright.blocks.rotary import Rotary

transformers = pytest.importorskip("transformers")

TINY = {
    "vocab_size": 60, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
    "intermediate_size": 24, "max_position_embeddings": 16, "initializer_range": 0.3,
}  # fmt: skip
WAVES = {"rope_scaling": "wavelength", "rope_factor": 8.0, "rope_low_turns": 1.0, "rope_high_turns": 4.0}
KINDS = [{}, {"rope_scaling": "linear", "rope_factor": 2.0}, {"rope_scaling": "dynamic", "rope_factor": 2.0}, WAVES]
IDS = torch.randint(0, 60, (2, 40), generator=torch.Generator().manual_seed(0))
#: A family of its own in few lines: norms on queries and keys, heads wider than their share.
QWEN3 = """
spec: qwen3_like
extends: llama
hparams: {attention_head_size: 128}
configs: {huggingface: {match: {model_type: qwen3}, expect: {use_sliding_window: false},
                        ignore: {layer_types: full, max_window_layers: without windows, sliding_window: none},
                        architectures: {causal_lm: Qwen3ForCausalLM}}}
model:
  decoder:
    layer:
      sublayers:
        attention:
          query_norm: {block: rms_norm, width: "${attention_head_size}", eps: "${layer_norm_eps}"}
          key_norm: {block: rms_norm, width: "${attention_head_size}", eps: "${layer_norm_eps}"}
weights: {huggingface: {rules: {
  "decoder.layers.{i}.attention.{query_norm,key_norm}": "layers.{i}.self_attn.{q_norm,k_norm}"}}}
"""


@pytest.fixture(autouse=True)
def compiler_forgets() -> None:
    torch._dynamo.reset()


def tiny(**more: object) -> mw.Model:
    torch.manual_seed(0)
    return mw.build("llama", head="causal_lm", **(TINY | more))


def heads(width: int) -> Tensor:
    return torch.randn(2, 3, 7, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("width", [16, 6])
def test_neighbours_make_pairs(width: int) -> None:
    """As in GPT-J, whose heads are turned in part."""
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb, create_sinusoidal_positions

    hidden = heads(16)
    sines, cosines = create_sinusoidal_positions(7, width)[None].chunk(2, dim=-1)
    theirs = apply_rotary_pos_emb(hidden[..., :width].transpose(1, 2), sines, cosines).transpose(1, 2)
    ours = Rotary(width=width, layout="interleaved")(hidden, Context())
    torch.testing.assert_close(ours, torch.cat([theirs, hidden[..., width:]], dim=-1), rtol=0, atol=2e-6)


@pytest.mark.parametrize("width", [16, 6])
def test_halves_make_pairs(width: int) -> None:
    """As in GPT-NeoX, whose heads are turned in part."""
    from transformers.models.gpt_neox.modeling_gpt_neox import apply_rotary_pos_emb

    hidden, position = heads(16), torch.tensor([[3, 1, 4, 1, 5, 9, 2]])
    angles = position[..., None] * 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.cat([angles, angles], dim=-1)
    theirs, _ = apply_rotary_pos_emb(hidden, hidden, angles.cos(), angles.sin())
    ours = Rotary(width=width)(hidden, Context(position_ids=position))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-6)


def test_a_variant_with_normed_queries_and_keys(tmp_path: Path) -> None:
    config = transformers.Qwen3Config(
        vocab_size=60, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, head_dim=12,
        intermediate_size=24, max_position_embeddings=16, initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    theirs = transformers.Qwen3ForCausalLM(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter += 0.3 * torch.randn_like(parameter)
    theirs.save_pretrained(tmp_path)
    (tmp_path / "qwen3_like.yaml").write_text(QWEN3)
    ours = mw.build(str(tmp_path / "qwen3_like.yaml"), weights=tmp_path, head="causal_lm")
    with torch.no_grad():
        expected = theirs(IDS).logits
        torch.testing.assert_close(ours(IDS).logits, expected, rtol=0, atol=2e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.get("rope_scaling", "plain"))
def test_step_by_step_with_a_cache(kind: dict[str, object]) -> None:
    model, ids = tiny(**kind), IDS[:, :16]
    with torch.no_grad():
        full = model(ids, output_attentions=True)
        cache = KeyValueCache()
        steps = [model(ids[:, i:i + 1], past_key_values=cache, use_cache=True).logits for i in range(ids.shape[1])]
    torch.testing.assert_close(torch.cat(steps, dim=1), full.logits, rtol=0, atol=2e-5)
    assert cache[0][0].shape == (2, 2, 16, 8) and full.attentions[0].shape == (2, 4, 16, 16)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.get("rope_scaling", "plain"))
def test_compiles_whole_and_exports_for_any_length(kind: dict[str, object]) -> None:
    model = tiny(**kind)
    with torch.no_grad():
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(IDS).logits, model(IDS).logits, rtol=0, atol=2e-5)
        sizes = {"input_ids": {1: torch.export.Dim("length", min=2, max=100)}}
        exported = torch.export.export(model, (), {"input_ids": IDS}, dynamic_shapes=sizes).module()
        torch.testing.assert_close(exported(input_ids=IDS[:, :9]).logits, model(IDS[:, :9]).logits, rtol=0, atol=2e-5)


def test_decoding_with_a_cache_compiles_whole() -> None:
    model = tiny()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        cache = compiled(IDS[:, :5], use_cache=True).past_key_values
        step = compiled(IDS[:, 5:6], past_key_values=cache, use_cache=True).logits
        torch.testing.assert_close(step, model(IDS[:, :6]).logits[:, -1:], rtol=0, atol=2e-5)


def test_one_table_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model, calls = tiny(num_hidden_layers=5), []
    table = Rotary.table
    monkeypatch.setattr(Rotary, "table", lambda *args: calls.append(1) or table(*args))
    with torch.no_grad():
        model(IDS)
    assert len(calls) == 1


def test_angles_of_far_positions_in_half_precision() -> None:
    """They are computed in float32: a position of 30 000 has no bits left for them in bfloat16."""
    rotary, position = Rotary(width=16), torch.arange(30_000, 30_007)[None]
    exact = rotary(heads(16), Context(position_ids=position))
    half = rotary(heads(16).bfloat16(), Context(position_ids=position))
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.05)


@pytest.mark.parametrize(("wrong", "message"), [
    ({"width": 7}, "pairs"), ({"width": 2, "scaling": "dynamic", "factor": 2.0}, "pairs"),
    ({"width": 8, "scaling": "linear"}, "needs a positive factor"),
    ({"width": 8, "scaling": "dynamic", "factor": 2.0}, "needs a positive original_length"),
    ({"width": 8, "scaling": "wavelength", "factor": 2.0, "original_length": 8, "low_turns": 4.0, "high_turns": 1.0},
     "must be more than"),
])  # fmt: skip
def test_what_cannot_turn(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(BlockError, match=message):
        Rotary(**wrong)


def test_heads_that_cannot_be_shared() -> None:
    with pytest.raises(BlockError, match="4 cannot be split into 3 heads of keys and values"):
        Attention(hidden_size=32, num_heads=4, num_key_value_heads=3)
    with pytest.raises(mw.SpecError, match="4 cannot be split into 3 heads of keys and values"):
        tiny(num_key_value_heads=3)


# How configs spell it ---------------------------------------------------------------------------------------------

OLD = {"rope_theta": 500000.0, "rope_scaling": {
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192,
    "rope_type": "llama3"}}  # fmt: skip
NEW = {"rope_parameters": OLD["rope_scaling"] | {"rope_theta": 500000.0}}
SHAPE = {"model_type": "llama", "hidden_size": 32, "num_attention_heads": 4, "vocab_size": 60, "num_hidden_layers": 1,
         "intermediate_size": 24, "max_position_embeddings": 131072}  # fmt: skip


def hparams(config: dict[str, object]) -> dict[str, object]:
    found = mw.build("llama", config=SHAPE | config, dry_run=True).config.to_dict()
    return {name: value for name, value in found.items() if name.startswith("rope_") and value is not None}


def test_old_and_new_spelling() -> None:
    scaled = {"rope_theta": 500000.0, "rope_scaling": "wavelength", "rope_factor": 8.0, "rope_original_length": 8192,
              "rope_low_turns": 1.0, "rope_high_turns": 4.0}  # fmt: skip
    assert hparams(OLD) == hparams(NEW) == scaled
    assert hparams({}) == hparams({"rope_scaling": None}) == {"rope_theta": 10000.0}
    assert hparams({"rope_parameters": {"rope_type": "default", "rope_theta": 7.0}}) == {"rope_theta": 7.0}
    linear = {"rope_theta": 10000.0, "rope_scaling": "linear", "rope_factor": 2.0}
    assert hparams({"rope_scaling": {"type": "linear", "factor": 2.0}}) == linear


@pytest.mark.parametrize(("scaling", "message"), [
    ({"rope_type": "yarn", "factor": 2.0}, "rope_scaling.rope_type = 'yarn'"),
    ({"rope_type": "linear", "factor": 2.0, "beta": 1}, "a key `rope_scaling.beta`"),
    ([2.0], "a key `rope_scaling`"),
])  # fmt: skip
def test_scalings_that_no_block_can_do(scaling: object, message: str) -> None:
    with pytest.raises(mw.WeightsError) as caught:
        hparams({"rope_scaling": scaling})
    assert message in str(caught.value)


@pytest.mark.parametrize("config", [OLD, {}], ids=["scaled", "plain"])
def test_written_so_that_old_releases_read_it(config: dict[str, object], tmp_path: Path) -> None:
    mw.build("llama", config=SHAPE | config).save(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert "rope_parameters" not in written and written["rope_scaling"] == config.get("rope_scaling")
    theirs = transformers.AutoConfig.from_pretrained(tmp_path).rope_parameters
    assert theirs["rope_type"] == ("llama3" if config else "default")
    assert theirs["rope_theta"] == written["rope_theta"]


# Shared layers ----------------------------------------------------------------------------------------------------

SHARED = {"vocab_size": 60, "embedding_size": 8, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24,
          "num_hidden_layers": 6, "max_position_embeddings": 40}  # fmt: skip


def test_shared_layers_are_kept_once_and_counted_each_time() -> None:
    def size(**more: int) -> tuple[int, int]:
        described = describe(mw.build("albert", dry_run=True, **(SHARED | more)), length=40)
        return described.parameters, described.flops

    layer = size(num_hidden_layers=2, num_hidden_groups=2)[0] - size(num_hidden_layers=2)[0]
    assert size()[0] == size(num_hidden_layers=3)[0] == size(num_hidden_groups=3)[0] - 2 * layer
    assert size()[1] == size(num_hidden_groups=6)[1] == size(num_hidden_layers=3, inner_group_num=2)[1]
    assert size()[1] - size(num_hidden_layers=5)[1] == size(num_hidden_layers=5)[1] - size(num_hidden_layers=4)[1] > 0


def test_passes_are_divided_among_the_groups() -> None:
    encoder = mw.build("albert", **SHARED, num_hidden_groups=4, inner_group_num=2).encoder
    names = {id(layer): f"{g}.{i}" for g, group in enumerate(encoder.groups) for i, layer in enumerate(group)}
    order = [names[id(layer)] for layer in encoder.passes()]
    assert order == [f"{group}.{index}" for group in (0, 0, 1, 2, 2, 3) for index in (0, 1)]


def test_more_groups_than_passes() -> None:
    with pytest.raises(mw.SpecError, match="6 passes do not reach 7 groups of layers"):
        mw.build("albert", **SHARED, num_hidden_groups=7)
