"""Generation: chance, padding, caches, stops, streams, compiled steps, the command."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from writing_models import QUIET, TINY, Letters, built, ids, saying

import modelwright as mw
from modelwright import cli
from modelwright.blocks import native, processor
from modelwright.tasks.generation import warpers as w
from modelwright.tasks.generation.streaming import pieces


@pytest.fixture(scope="module")
def model() -> mw.Model:
    return built()


# chance


def test_words_are_drawn_with_their_probabilities(model: mw.Model) -> None:
    """Chi square over the words, at a level of one in ten thousand."""
    start = ids(1, 4)
    options = {"do_sample": True, "temperature": 1.5, "top_k": 8, "max_new_tokens": 1, "num_return_sequences": 20000}
    drawn = model.generate(start, **options, **QUIET, generator=torch.Generator().manual_seed(0))[:, -1]
    logits = w.TopK(8)(start, model(start).logits[:, -1] / 1.5)
    expected = 20000 * logits.softmax(dim=-1)[0]
    found = torch.tensor([Counter(drawn.tolist())[word] for word in range(50)], dtype=torch.float)
    assert (found[expected == 0] == 0).all()
    some = expected > 0
    assert ((found - expected)[some] ** 2 / expected[some]).sum() < 29.9  # 7 degrees of freedom


def test_a_seed_gives_the_same_text_again(model: mw.Model) -> None:
    def text(seed: int) -> list[list[int]]:
        generator = torch.Generator().manual_seed(seed)
        return model.generate(ids(), do_sample=True, max_new_tokens=12, generator=generator, **QUIET).tolist()

    state = torch.get_rng_state()
    assert text(3) == text(3) != text(4)
    assert torch.equal(state, torch.get_rng_state()), "a generator of the caller's leaves torch's own alone"


def test_sampled_beams_are_reproducible_and_differ_from_the_best(model: mw.Model) -> None:
    def text(**options: Any) -> list[list[int]]:
        return model.generate(ids(), num_beams=3, max_new_tokens=10, **options, **QUIET).tolist()

    sampled = [text(do_sample=True, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert sampled[0] == sampled[1] and text() not in (sampled[0], sampled[2])


# padding

PADDED = {
    "gpt2": ("causal_lm", {}), "gpt": ("causal_lm", {}), "ctrl": ("causal_lm", {"intermediate_size": 20}),
    "llama": ("causal_lm", {"intermediate_size": 20}),
    "bert": ("causal_lm", {"intermediate_size": 20, "is_decoder": True}),
    "roberta": ("causal_lm", {"intermediate_size": 20, "is_decoder": True}),
    "electra": ("causal_lm", {"intermediate_size": 20, "is_decoder": True, "embedding_size": 8}),
    "xlnet": ("causal_lm", {"intermediate_size": 20, "max_position_embeddings": None}),
    "xlm": ("causal_lm", {"causal": True}),
    "transfo_xl": ("causal_lm", {"attention_head_size": 8, "intermediate_size": 20, "cutoffs": [10, 20],
                                 "embedding_divisor": 2, "tie_projections": [False, True, True], "memory_length": 6,
                                 "max_position_embeddings": None}),
    "reformer": ("causal_lm", {"is_decoder": True, "attn_layers": ["local", "lsh"], "attention_head_size": 8,
                               "axial_pos_shape": [5, 8], "axial_pos_embds_dim": [4, 12], "local_chunk_length": 4,
                               "lsh_chunk_length": 4, "num_buckets": 2, "hash_seed": 0, "num_hidden_layers": None}),
}  # fmt: skip


PADDED_CALLS = {
    "greedy": {}, "beams": {"num_beams": 3, "num_return_sequences": 2}, "without cache": {"use_cache": False},
}  # fmt: skip


@pytest.mark.parametrize("options", PADDED_CALLS.values(), ids=PADDED_CALLS)
@pytest.mark.parametrize("spec", PADDED)
def test_a_padded_batch_writes_what_its_rows_write(spec: str, options: dict[str, Any]) -> None:
    head, hparams = PADDED[spec]
    model = built(spec, head, **hparams)
    rows = [ids(1, length, seed=length)[0] for length in (7, 3, 5)]
    batch = torch.stack([torch.cat([torch.zeros(7 - len(row), dtype=torch.long), row]) for row in rows])
    mask = (batch != 0).long()
    options = options | {"max_new_tokens": 8} | QUIET
    together = model.generate(batch, attention_mask=mask, **options)
    copies = options.get("num_return_sequences", 1)
    for number, row in enumerate(rows):
        alone = model.generate(row[None], **options | {"use_cache": True})[:, len(row) :]
        assert torch.equal(together[copies * number : copies * (number + 1), 7:], alone)


# caches


def test_beams_without_a_cache_are_the_same(model: mw.Model) -> None:
    options = {"num_beams": 5, "max_new_tokens": 15, "num_return_sequences": 5, "return_dict_in_generate": True}
    cached, plain = (model.generate(ids(3), use_cache=use, **options, **QUIET) for use in (True, False))
    assert torch.equal(cached.sequences, plain.sequences)
    torch.testing.assert_close(cached.sequences_scores, plain.sequences_scores)


@pytest.mark.parametrize("spec", ["bart", "t5"])
def test_one_source_for_all_beams(spec: str) -> None:
    """Keys and values of the encoder are there once for a prompt, however many rows ask."""
    small = {"bart": {}, "t5": {"attention_head_size": 8, "max_position_embeddings": None}}[spec]
    model = built(spec, "seq2seq_lm", intermediate_size=20, **small)
    source, mask = ids(2, 6), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    cache = model.new_cache(4)
    first = model(source, attention_mask=mask, decoder_input_ids=source[:, :1], past_key_values=cache)
    encoded = model.encode(source, attention_mask=mask)
    assert torch.equal(first.encoder_last_hidden_state, encoded.last_hidden_state)
    cache.repeat(3)
    words = ids(6, 1, seed=4)
    shared = model(attention_mask=mask, encoder_outputs=encoded, decoder_input_ids=words, past_key_values=cache)
    assert cache.cross(0)[0].shape[0] == 2
    thrice = torch.cat([source[:, :1].repeat_interleave(3, dim=0), words], dim=1)
    apart = model(source.repeat_interleave(3, 0), attention_mask=mask.repeat_interleave(3, 0), decoder_input_ids=thrice)
    torch.testing.assert_close(shared.logits[:, -1], apart.logits[:, -1], rtol=1e-4, atol=2e-5)
    weights = model(attention_mask=mask, encoder_outputs=encoded, decoder_input_ids=words, output_attentions=True)
    assert weights.cross_attentions[0].shape[:2] == (6, 2)


@torch.no_grad()
def test_a_cache_takes_only_what_differs(model: mw.Model) -> None:
    cache = model.new_cache(8)
    model(ids(3, 6), past_key_values=cache)
    before = [(key.clone(), value.clone()) for key, value in cache]
    storage = cache[0][0].data_ptr()
    cache.reorder(torch.tensor([2, 0, 0]), start=4)
    for (key, value), (old_key, old_value) in zip(cache, before, strict=True):
        assert torch.equal(key[:, :, 4:], old_key[[2, 0, 0], :, 4:]) and torch.equal(key[:, :, :4], old_key[:, :, :4])
        assert torch.equal(value[:, :, 4:], old_value[[2, 0, 0], :, 4:])
    assert cache[0][0].data_ptr() == storage, "reordered in place"
    model(ids(3, 2), past_key_values=cache)
    assert cache[0][0].data_ptr() == storage, "there was room from the start"


@pytest.mark.skipif(native.LIBRARY is None, reason="without a kernel weights stay where they are")
def test_weights_are_laid_out_for_steps(tmp_path: Path) -> None:
    """A checkpoint's matrices may lie column by column. Shapes, values, ties and files stay."""
    config = {"vocab_size": 50, "n_positions": 40, "n_embd": 16, "n_layer": 2, "n_head": 2}
    torch.manual_seed(0)
    peer = transformers.GPT2LMHeadModel(transformers.GPT2Config(**config, initializer_range=0.5)).eval()
    peer.save_pretrained(tmp_path / "peer")
    model = mw.build(weights=tmp_path / "peer", head="causal_lm")
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    intermediate = model.decoder.layers[0].feed_forward.intermediate.weight
    assert intermediate.stride() == (1, 64)
    text = model.generate(ids(), num_beams=2, max_new_tokens=8, **QUIET)
    assert torch.equal(text, peer.generate(ids(), num_beams=2, max_new_tokens=8, **QUIET))
    assert intermediate.stride() == (16, 1) and intermediate is model.decoder.layers[0].feed_forward.intermediate.weight
    assert model.heads.causal_lm.projection.weight is model.embeddings.token.weight
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]) and parameter.requires_grad and parameter.is_contiguous()
    model.save(tmp_path / "ours")
    again = mw.build(weights=tmp_path / "ours", head="causal_lm")
    assert all(torch.equal(parameter, before[name]) for name, parameter in again.named_parameters())


# stops


def test_stop_strings() -> None:
    model, rule = saying("one two three")
    call = {"logits_processor": [rule], "tokenizer": Letters(), "max_new_tokens": 60, "eos_token_id": 256}

    def text(**options: Any) -> str:
        return Letters().decode(model.generate(torch.tensor([[32]]), **call, **options)[0].tolist())

    assert text() == " one two three"
    assert text(stop_strings="two") == " one two"
    assert text(stop_strings=["xyz", "e t", "three"]) == " one t"
    assert text(stop_strings=" o") == " o"  # which the prompt begins
    assert text(stop_strings=["wo"], num_beams=1, min_new_tokens=2) == " one two"
    assert text(stopping_criteria=[lambda written, scores: written.shape[1] >= 5]) == " one "


def test_time_runs_out(model: mw.Model) -> None:
    assert model.generate(ids(), max_time=1e-9, max_new_tokens=20, **QUIET).shape == (2, 6)


def test_rows_that_are_finished_get_padding(model: mw.Model) -> None:
    free = model.generate(ids(), max_new_tokens=12, **QUIET)
    end = int(free[0, 7])
    text = model.generate(ids(), max_new_tokens=12, eos_token_id=[end, 1], pad_token_id=3)
    first = (free[0, 5:] == end).nonzero()[0].item() + 5
    assert torch.equal(text[0, : first + 1], free[0, : first + 1]) and (text[0, first + 1 :] == 3).all()


# streams


def test_a_stream_never_splits_a_character() -> None:
    text = "naïve ☃ 🎈é!"
    model, rule = saying(text)
    options = {"logits_processor": [rule], "max_new_tokens": 60, "eos_token_id": 256}
    found = list(mw.stream(model, Letters(), " ", **options))
    assert "".join(found) == text and len(found) == len(text)
    cut = list(mw.stream(model, Letters(), " ", **(options | {"max_new_tokens": 9})))
    assert "".join(cut) == "naïve \N{REPLACEMENT CHARACTER}", "what is left of a character comes last"


def test_pieces_of_words_that_change_with_their_neighbours() -> None:
    words = ["a", " b", "c", "", " d"]
    assert list(pieces(range(5), lambda ids: "".join(words[i] for i in ids).strip())) == ["a", " b", "c", " d"]


def test_a_stream_is_one_text(model: mw.Model) -> None:
    with pytest.raises(mw.UsageError, match="never taken back"):
        list(mw.stream(model, Letters(), " ", num_beams=2))
    assert torch.is_grad_enabled()
    reading = mw.stream(model, Letters(), " ", max_new_tokens=3, **QUIET)
    next(reading)
    assert torch.is_grad_enabled(), "between pieces the caller's mode holds"


# compiled


@pytest.mark.parametrize("spec", ["gpt2", "llama", "bert", "roberta", "bart", "t5"])
def test_compiled_steps_are_whole_and_the_same(spec: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph for all steps of a call: no break, nothing compiled again as the text grows."""
    compile, graphs = torch.compile, []

    def backend(graph: Any, inputs: Any) -> Any:
        graphs.append(graph)
        return graph

    monkeypatch.setattr(torch, "compile", lambda step, options, **how: compile(step, backend=backend, **how))
    small = {"intermediate_size": 20} | ({"attention_head_size": 8} if spec == "t5" else {})
    small |= {"max_position_embeddings": None} if spec == "t5" else {}
    small |= {"is_decoder": True} if spec in ("bert", "roberta") else {}
    model = built(spec, "seq2seq_lm" if spec in ("bart", "t5") else "causal_lm", **small)
    mask = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]])
    calls = [{}, {"attention_mask": mask}, {"num_beams": 3}, {"penalty_alpha": 0.4, "top_k": 3}]
    for number, options in enumerate(calls):
        options = {"max_new_tokens": 10, **options, **QUIET}
        assert torch.equal(model.generate(ids(), **options), model.generate(ids(), compile=True, **options))
        assert len(graphs) == number + 1
    model.generate(ids(seed=9), compile=True, max_new_tokens=14, **QUIET)
    assert len(graphs) == len(calls), "another text of about that length runs the same code"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_steps_read_the_weights_of_now(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """One graph, whose products are those of eager steps."""
    compile, graphs = torch.compile, []

    def keep(graph: torch.fx.GraphModule, inputs: Any) -> torch.fx.GraphModule:
        graphs.append(str(graph.graph))
        return graph

    monkeypatch.setattr(torch, "compile", lambda step, options, **how: compile(step, backend=keep, **how))
    model = built().to(dtype)
    options = {"max_new_tokens": 10, "num_beams": 3, **QUIET}
    first = model.generate(ids(), **options)
    assert torch.equal(first, model.generate(ids(), compile=True, **options))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(7)))
    second = model.generate(ids(), compile=True, **options)
    assert not torch.equal(second, first) and torch.equal(second, model.generate(ids(), **options))
    served = native.LIBRARY is not None and (dtype == torch.float32 or dtype in processor.SLOW)
    assert len(graphs) == 1 and ("modelwright.few_rows" in graphs[0]) == served


def test_compiled_steps_are_those_of_the_model_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A model may change between calls: types, modules, parameters, and back."""
    compile = torch.compile
    monkeypatch.setattr(torch, "compile", lambda step, options, **how: compile(step, backend="eager", **how))
    model = built()
    options = {"max_new_tokens": 10, **QUIET}

    def same() -> list[list[int]]:
        found = model.generate(ids(), **options)
        assert torch.equal(found, model.generate(ids(), compile=True, **options))
        return found.tolist()

    found = [same()]
    for dtype in (torch.bfloat16, torch.float32):
        model.to(dtype)
        same()
    head = model.heads["causal_lm"]
    before, head.norm = head.norm, torch.nn.Threshold(0.2, -1.0)
    found.append(same())
    head.norm = before
    assert same() == found[0]
    norm = next(module for module in model.modules() if type(module).__name__ == "LayerNorm")
    norm.register_parameter("weight", torch.nn.Parameter(-3 * norm.weight.detach()))
    found.append(same())
    assert len({str(texts) for texts in found}) == 3, "else nothing would have been seen"


# command line


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = mw.build("gpt", head="causal_lm", **TINY, initializer_range=1.0)
    model.save(tmp_path)
    letters = [*"abcdefghijklmnopqrstuvwx", *(f"{c}</w>" for c in "abcdefghijklmnopqrstuvwx"), "<unk>", "ab"]
    (tmp_path / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(letters)}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b\n")
    command = ["generate", str(tmp_path), "ab c", "--max-new-tokens", "6", "--option", "eos_token_id=null"]
    assert cli.main(command) == 0
    text = capsys.readouterr().out
    assert text.startswith("ab c") and len(text) > 5
    assert cli.main([*command, "--stream"]) == 0
    assert "".join(capsys.readouterr().out.split()) == "".join(text.split())
    assert cli.main([*command, "--num-beams", "3", "--num-return-sequences", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["prompt"] == "ab c" and len(found["generated"]) == 2
    sampled = [*command, "--do-sample", "--seed", "3", "--top-k", "0"]
    assert cli.main(sampled) == 0
    first = capsys.readouterr().out
    assert cli.main(sampled) == 0 and capsys.readouterr().out == first
    monkeypatch.setattr("sys.stdin", __import__("io").StringIO("ab c\n"))
    assert cli.main([command[0], command[1], *command[3:]]) == 0
    assert capsys.readouterr().out == text
    assert cli.main([*command, "--num-beams", "0"]) == 2
    assert "num_beams must be a whole number" in capsys.readouterr().err
    assert cli.main(["generate", str(tmp_path), ""]) == 2
    assert "the prompt is empty" in capsys.readouterr().err
