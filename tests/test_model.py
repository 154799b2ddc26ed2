"""What every assembled model does: inputs, outputs, cache, memory, heads, chunking, compilation, export, dtypes."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest
import torch
import transformers

import modelwright as mw
from modelwright.blocks import Context, KeyValueCache
from modelwright.blocks.feed_forward import FeedForward

TINY = {
    "bert": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 24, "max_position_embeddings": 32},
    "ctrl": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "intermediate_size": 24},
    "distilbert": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                   "intermediate_size": 24, "max_position_embeddings": 32, "sinusoidal_positions": True},
    "gpt": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
            "max_position_embeddings": 32},
    "gpt2": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
             "max_position_embeddings": 32},
    "roberta": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                "intermediate_size": 24, "max_position_embeddings": 34},
    "albert": {"vocab_size": 60, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 3, "num_hidden_groups": 2,
               "inner_group_num": 2, "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32},
    "electra": {"vocab_size": 60, "embedding_size": 8, "hidden_size": 16, "num_hidden_layers": 2,
                "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": 32},
    "llama": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
              "intermediate_size": 24, "max_position_embeddings": 32},
    "transfo_xl": {"vocab_size": 60, "cutoffs": [10, 30], "tie_projections": [False, True, True], "hidden_size": 16,
                   "embedding_divisor": 2, "num_hidden_layers": 2, "num_attention_heads": 2, "attention_head_size": 8,
                   "intermediate_size": 24, "memory_length": 5, "clamp_length": 6},
    "xlm": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_languages": 3,
            "max_position_embeddings": 32},
    "xlnet": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
              "intermediate_size": 24},
    "reformer": {"vocab_size": 60, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
                 "attention_head_size": 8, "intermediate_size": 24, "axial_pos_shape": [4, 8],
                 "axial_pos_embds_dim": [4, 12], "local_chunk_length": 2, "lsh_chunk_length": 4, "num_buckets": [2, 4],
                 "hash_seed": 3},
}  # fmt: skip
IDS = torch.randint(0, 60, (2, 7), generator=torch.Generator().manual_seed(0))
DECODERS = [
    ("gpt2", {}), ("gpt", {}), ("ctrl", {}), ("llama", {}), ("bert", {"is_decoder": True}),
    ("roberta", {"is_decoder": True}),
]  # fmt: skip


def tiny(spec: str, head: str | list[str] | None = None, **more: object) -> mw.Model:
    torch.manual_seed(0)
    return mw.build(spec, head=head, initializer_range=0.3, **(TINY[spec] | more))


@pytest.fixture(autouse=True)
def compiler_forgets() -> None:
    """It compiles one function only so many times, and every model's `forward` is the same one."""
    torch._dynamo.reset()


@pytest.mark.parametrize("spec", TINY)
def test_compiles_whole_and_exports(spec: str) -> None:
    model = tiny(spec)
    with torch.no_grad():
        expected = model(IDS).last_hidden_state
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(IDS).last_hidden_state, expected, rtol=0, atol=1e-5)
        exported = torch.export.export(model, (IDS,)).module()
        torch.testing.assert_close(exported(IDS).last_hidden_state, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spec", ["albert", "bert", "ctrl", "electra", "gpt2", "llama", "roberta", "xlm"])
@pytest.mark.parametrize("masked", [False, True])
def test_exports_for_any_batch_and_length(spec: str, masked: bool) -> None:
    model = tiny(spec)
    sizes = {0: torch.export.Dim("batch", min=1, max=64), 1: torch.export.Dim("length", min=2, max=32)}
    inputs = {"input_ids": IDS} | ({"attention_mask": torch.ones_like(IDS)} if masked else {})
    shapes = dict.fromkeys(inputs, sizes)
    exported = torch.export.export(model, (), inputs, dynamic_shapes=shapes).module()
    inputs = {name: torch.ones(5, 11, dtype=torch.long) for name in inputs}
    with torch.no_grad():
        found = exported(**inputs).last_hidden_state
        torch.testing.assert_close(found, model(**inputs).last_hidden_state, rtol=0, atol=1e-5)


def test_exports_with_a_mask_by_name() -> None:
    model = tiny("bert", "masked_lm")
    inputs = {"input_ids": IDS, "attention_mask": torch.ones_like(IDS), "token_type_ids": torch.zeros_like(IDS)}
    exported = torch.export.export(model, (), inputs).module()
    with torch.no_grad():
        torch.testing.assert_close(exported(**inputs).logits, model(**inputs).logits, rtol=0, atol=1e-5)


@pytest.mark.parametrize("spec", TINY)
def test_bfloat16_is_close(spec: str) -> None:
    with torch.no_grad():
        exact = tiny(spec)(IDS).last_hidden_state
        model = mw.build(spec, weights=tiny(spec).state_dict(), dtype="bfloat16", **TINY[spec])
        assert model.dtype == torch.bfloat16
        rough = model(IDS).last_hidden_state
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).norm() / exact.norm() < 0.05  # bfloat16 has 8 bits


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("spec", TINY)
def test_runs_on_cuda(spec: str) -> None:
    with torch.no_grad():
        on_cpu = tiny(spec)
        on_gpu = copy.deepcopy(on_cpu).to("cuda")
        found = on_gpu(IDS.cuda()).last_hidden_state.cpu()
        torch.testing.assert_close(found, on_cpu(IDS).last_hidden_state, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("spec", "more"), DECODERS)
@pytest.mark.parametrize("padded", [False, True])
def test_step_by_step_equals_full(spec: str, more: dict[str, bool], padded: bool) -> None:
    model = tiny(spec, "causal_lm", **more)
    mask = torch.ones_like(IDS)
    mask[1, :3] = 0 if padded else 1
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    with torch.no_grad():
        full = model(IDS, attention_mask=mask if padded else None, position_ids=positions, output_attentions=True)
        cache, steps, attentions = None, [], []
        for start, stop in ((0, 3), (3, 4), (4, 6), (6, 7)):
            output = model(
                IDS[:, start:stop], attention_mask=mask[:, :stop] if padded else None,
                position_ids=positions[:, start:stop], past_key_values=cache, use_cache=True, output_attentions=True,
            )  # fmt: skip
            cache = output.past_key_values
            steps.append(output.logits)
            attentions.append(output.attentions[1])
    real = mask.bool()
    torch.testing.assert_close(torch.cat(steps, 1)[real], full.logits[real], rtol=0, atol=2e-5)
    torch.testing.assert_close(attentions[-1][0], full.attentions[1][0, :, -1:], rtol=0, atol=2e-5)
    assert cache.get_seq_length() == 7 and len(cache) == 2 and cache[0][0].shape == (2, 2, 7, 8)


@pytest.mark.parametrize(("spec", "more"), DECODERS)
def test_positions_count_on_from_the_cache(spec: str, more: dict[str, bool]) -> None:
    model = tiny(spec, "causal_lm", **more)
    with torch.no_grad():
        first = model(IDS[:, :4], use_cache=True)
        pairs = tuple((key.clone(), value.clone()) for key, value in first.past_key_values)  # as older code keeps them
        expected = model(IDS).logits[:, 4:]
        torch.testing.assert_close(model(IDS[:, 4:], past_key_values=pairs).logits, expected, rtol=0, atol=2e-5)


def test_cache_crosses_the_growth_of_its_buffer_and_keeps_the_encoder() -> None:
    model = tiny("bert", "causal_lm", is_decoder=True, add_cross_attention=True, max_position_embeddings=200)
    ids = torch.randint(0, 60, (1, 150))
    encoder = {"encoder_hidden_states": torch.randn(1, 4, 16)}
    with torch.no_grad():
        full = model(ids, **encoder).logits
        cache, steps = None, []
        for position in range(150):
            output = model(ids[:, position : position + 1], past_key_values=cache, use_cache=True, **encoder)
            cache = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), full, rtol=0, atol=2e-5)


def test_cache_lets_gradients_through() -> None:
    model = tiny("gpt2", "causal_lm")
    first = model(IDS[:, :4], use_cache=True)
    second = model(IDS[:, 4:], past_key_values=first.past_key_values)
    (first.logits.sum() + second.logits.square().sum()).backward()
    stepwise = model.embeddings.token.weight.grad.clone()
    model.zero_grad()
    full = model(IDS).logits
    (full[:, :4].sum() + full[:, 4:].square().sum()).backward()
    torch.testing.assert_close(stepwise, model.embeddings.token.weight.grad, rtol=1e-4, atol=1e-3)


def test_relative_attention_in_chunks_equals_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from modelwright.blocks import relative_attention

    model = tiny("transfo_xl")
    ids = torch.randint(0, 60, (2, 19))
    with torch.no_grad():
        whole = model(ids, output_attentions=True)
        monkeypatch.setattr(relative_attention, "CHUNK", 4)
        cut = model(ids, output_attentions=True)
    torch.testing.assert_close(cut.last_hidden_state, whole.last_hidden_state, rtol=0, atol=1e-5)
    torch.testing.assert_close(cut.attentions[1], whole.attentions[1], rtol=0, atol=1e-5)


def test_relative_attention_heeds_a_padding_mask() -> None:
    model = tiny("transfo_xl", same_length=False)
    mask = torch.ones_like(IDS)
    mask[:, :2] = 0
    with torch.no_grad():
        one, other = IDS.clone(), IDS.clone()
        other[:, :2] = 1
        masked = [model(ids, attention_mask=mask).last_hidden_state[:, 2:] for ids in (one, other)]
        seen = [model(ids).last_hidden_state[:, 2:] for ids in (one, other)]
    torch.testing.assert_close(*masked, rtol=0, atol=1e-6)
    assert (seen[0] - seen[1]).abs().max() > 1e-3


@pytest.mark.parametrize("chunk", [1, 3, 7, 100])
def test_chunking_is_exact(chunk: int) -> None:
    torch.manual_seed(0)
    whole = FeedForward(hidden_size=8, intermediate_size=32)
    cut = FeedForward(hidden_size=8, intermediate_size=32, chunk_size=chunk)
    cut.load_state_dict(whole.state_dict())
    hidden = torch.randn(2, 7, 8)
    torch.testing.assert_close(cut(hidden, Context()), whole(hidden, Context()), rtol=0, atol=1e-6)


def test_chunking_lowers_the_peak_of_memory() -> None:
    def peak(chunk: int) -> int:
        block = FeedForward(hidden_size=64, intermediate_size=1024, chunk_size=chunk)
        hidden = torch.randn(1, 2048, 64)
        with torch.no_grad(), torch.profiler.profile(profile_memory=True) as profile:
            block(hidden, Context())
        live = highest = 0
        for event in profile.profiler.kineto_results.events():
            if event.name() == "[memory]":
                live += event.nbytes()
                highest = max(highest, live)
        return highest

    assert peak(128) < peak(0) / 4  # 2048 x 1024 intermediate values against 128 x 1024


def test_several_heads_keep_their_outputs_to_themselves() -> None:
    model = tiny("bert", ["masked_lm", "token_classification"], num_labels=3)
    labels = {"masked_lm": IDS, "token_classification": IDS % 3}
    output = model(IDS, labels=labels)
    assert output.heads["masked_lm"]["logits"].shape == (2, 7, 60)
    assert output.heads["token_classification"]["logits"].shape == (2, 7, 3)
    torch.testing.assert_close(output.loss, sum(head["loss"] for head in output.heads.values()))
    assert "logits" not in output


def test_output_is_attributes_names_and_a_tuple() -> None:
    model = tiny("bert", "question_answering")
    output = model(IDS, start_positions=torch.tensor([1, 2]), end_positions=torch.tensor([3, 4]))
    loss, start, end = output
    assert output[0] is loss is output.loss is output["loss"]
    assert output[1:] == (start, end) and len(output) == 3 and output.keys() == ("loss", "start_logits", "end_logits")
    assert "attentions" not in output
    with pytest.raises(KeyError):
        output["attentions"]
    assert isinstance(model(IDS, return_dict=False), tuple)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: m(IDS, attention_masks=IDS), "did you mean `attention_mask`"),
        (lambda m: m(IDS, lengths=IDS), "takes no input `lengths`"),
        (lambda m: m(), "either input_ids or inputs_embeds"),
        (lambda m: m(IDS, inputs_embeds=torch.zeros(2, 7, 16)), "either input_ids or inputs_embeds"),
        (lambda m: m(IDS[None]), "for heads that choose"),
        (lambda m: m(torch.zeros(1, 40, dtype=torch.long)), "a sequence of 40 tokens, but the model has 32 positions"),
        (lambda m: m(IDS, attention_mask=torch.ones(2, 9)), "attention_mask of shape (2, 9) does not fit"),
        (lambda m: m(IDS, attention_mask=torch.ones(7)), "attention_mask has 1 dimensions"),
    ],
)
def test_bad_inputs_are_one_clear_error(call, message: str) -> None:
    with pytest.raises(mw.ModelwrightError) as error:
        call(tiny("bert", "masked_lm"))
    assert message in str(error.value)


def test_a_row_that_sees_nothing_stays_finite() -> None:
    model = tiny("bert")
    mask = torch.ones_like(IDS)
    mask[1] = 0
    for attentions in (False, True):
        output = model(IDS, attention_mask=mask, output_attentions=attentions)
        assert output.last_hidden_state.isfinite().all()
        output.last_hidden_state.sum().backward()
        assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("spec", ["bert", "gpt2"])
def test_gradients_of_rows_that_see_nothing(spec: str) -> None:
    """Left padding: the last padding row predicts the first real token, so its gradient counts. Finite differences."""
    model = tiny(spec, "causal_lm", dtype="float64", **({"is_decoder": True} if spec == "bert" else {}))
    ids, mask = IDS[:1], torch.tensor([[0, 0, 0, 1, 1, 1, 1]])
    labels = ids.masked_fill(mask == 0, -100)
    model(ids, attention_mask=mask, labels=labels).loss.backward()
    stack = model.encoder if spec == "bert" else model.decoder
    weight = stack.layers[0].attention.value.weight
    with torch.no_grad():
        for row, column in ((0, 0), (3, 2), (9, 5)):
            losses = []
            for step in (1e-6, -2e-6):
                weight[row, column] += step
                losses.append(model(ids, attention_mask=mask, labels=labels).loss)
            weight[row, column] += 1e-6
            numeric = (losses[0] - losses[1]) / 2e-6
            torch.testing.assert_close(weight.grad[row, column], numeric, rtol=1e-4, atol=1e-7)


def test_heads_run_on_the_positions_asked_for(tmp_path: Path) -> None:
    """Against GPT-2 of transformers, which takes numbers and tensors too."""
    config = transformers.GPT2Config(vocab_size=60, n_embd=16, n_layer=2, n_head=2, n_positions=32)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(tmp_path)
    model = mw.build(weights=tmp_path, head="causal_lm")
    for keep in (0, 1, 3, torch.tensor([5]), torch.tensor([1, 4, 6])):
        with torch.no_grad():
            expected = theirs(IDS, logits_to_keep=keep).logits
            torch.testing.assert_close(model(IDS, logits_to_keep=keep).logits, expected, rtol=0, atol=2e-5)


def test_decoding_with_the_cache_compiles_whole() -> None:
    torch._dynamo.reset()
    model = tiny("gpt2", "causal_lm")
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    with torch.no_grad():
        expected, steps, cache = model(IDS).logits, [], None
        for position in range(7):
            output = compiled(IDS[:, position : position + 1], past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), expected, rtol=0, atol=2e-5)


def test_exports_with_the_cache() -> None:
    model = tiny("gpt2", "causal_lm")
    with torch.no_grad():
        exported = torch.export.export(model, (IDS,), {"use_cache": True}).module()
        cache = exported(IDS, use_cache=True).past_key_values
        expected = model(torch.cat([IDS, IDS[:, :1]], 1)).logits[:, -1:]
        found = model(IDS[:, :1], past_key_values=cache).logits
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


def test_models_copy_and_pickle() -> None:
    model = tiny("gpt2", "causal_lm")
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(other(IDS).logits, model(IDS).logits, rtol=0, atol=0)
        assert other.heads["causal_lm"].projection.weight is other.embeddings.token.weight


def test_untrained_models_start_as_their_blocks_say() -> None:
    model = mw.build("bert", **{**TINY["bert"], "hidden_size": 64})
    assert not model.training and not any(p.is_meta for p in model.parameters())
    assert 0.018 < model.encoder.layers[0].attention.query.weight.std() < 0.022
    assert (model.embeddings.token.weight[0] == 0).all() and (model.embeddings.norm.weight == 1).all()
    deep = mw.build("gpt2", **{**TINY["gpt2"], "hidden_size": 64, "num_hidden_layers": 8})
    assert deep.decoder.layers[0].attention.output.weight.std() < 0.006  # 0.02 / sqrt(2 * 8)
    table = tiny("distilbert").embeddings.position.weight
    assert not table.requires_grad and table[0].tolist() == [0, 1] * 8 and table[3, 0] == torch.tensor(3.0).sin()


@pytest.mark.parametrize("spec", ["ctrl", "distilbert"])
def test_sinusoids_come_in_pairs(spec: str) -> None:
    with pytest.raises(mw.ModelwrightError, match="their width 17 is odd"):
        tiny(spec, hidden_size=17, num_attention_heads=1)


def test_the_cache_indexes_like_pairs() -> None:
    cache = KeyValueCache()
    key = torch.randn(1, 2, 3, 4)
    cache.extend(0, key, key)
    assert torch.equal(list(cache)[0][1], key) and cache.length == 3
