"""`modelwright convert`: every head comes along, vocabularies too, and nothing is half written."""

from __future__ import annotations

import argparse
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import modelwright as mw
from modelwright import cli
from modelwright.assembler.stores import open_store, write_safetensors

ORIGINALS = Path(__file__).parent / "golden" / "releases"
TINY = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 36}
PIECES = ["a", "b", "ab", "Ġ", "Ġa"]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]):
    def call(*arguments: object) -> tuple[int, str, str]:
        code = cli.main(["convert", *map(str, arguments)])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return code, captured.out, captured.err

    return call


def stored(folder: Path) -> dict[str, torch.Tensor]:
    with open_store(folder) as store:
        return {name: store.read(name).clone() for name in store.tensors}


def test_every_head_comes_along(tmp_path: Path) -> None:
    model = mw.build("bert", head=["masked_lm", "next_sentence_prediction", "sequence_classification"], **TINY)
    model.save(tmp_path / "a")
    done = mw.convert(tmp_path / "a", "modelwright", tmp_path / "b")
    assert done.parts == ["embeddings", "encoder", "pooler", "heads.masked_lm", "heads.next_sentence_prediction",
                          "heads.sequence_classification"]  # fmt: skip
    own = stored(tmp_path / "b")
    assert own.keys() == dict(model.named_parameters()).keys()
    assert all(torch.equal(tensor, own[name]) for name, tensor in model.named_parameters())
    mw.convert(tmp_path / "b", "huggingface", tmp_path / "c")
    first, last = stored(tmp_path / "a"), stored(tmp_path / "c")
    assert first.keys() == last.keys() and all(torch.equal(first[name], last[name]) for name in first)


def test_what_the_target_has_no_place_for_is_said(run, tmp_path: Path) -> None:
    mw.build("bert", head=["masked_lm", "question_answering"], **TINY).save(tmp_path / "a")
    code, out, _ = run("--weights", tmp_path / "a", "--to", "google", "--output", tmp_path / "b", "--json")
    done = json.loads(out)
    assert code == 0 and done["parts"] == ["embeddings", "encoder", "heads.masked_lm"]
    assert done["left_out"] == [f"heads.question_answering.projection.{name}" for name in ("weight", "bias")]
    code, out, _ = run("--weights", tmp_path / "a", "--to", "google", "--output", tmp_path / "c")
    assert code == 0 and "left out      2  google has no place for them" in out
    code, _, err = run("--weights", tmp_path / "a", "--to", "google", "--output", tmp_path / "d", "--head",
                       "question_answering")  # fmt: skip
    assert code == 2 and "no place for the head `question_answering`" in err and not (tmp_path / "d").exists()


def test_heads_under_the_same_names_are_one(tmp_path: Path) -> None:
    """Of masked and causal language models one file has one; what the config calls it counts."""
    for head in ("masked_lm", "causal_lm"):
        mw.build("bert", head=head, is_decoder=head == "causal_lm", **TINY).save(tmp_path / head)
        done = mw.convert(tmp_path / head, "modelwright", tmp_path / f"{head}-own")
        assert done.parts == ["embeddings", "encoder", f"heads.{head}"] and not done.left_out
    both = mw.build("bert", head=["masked_lm", "causal_lm"], **TINY)
    with pytest.raises(mw.SpecError, match="another head's in its place"):
        both.save(tmp_path / "lost")
    both.save(tmp_path / "both", "modelwright")
    done = mw.convert(tmp_path / "both", "huggingface", tmp_path / "one")
    assert {name.split(".")[1] for name in done.left_out} == {"causal_lm"} and len(done.left_out) == 5


def test_a_body_stays_a_body(tmp_path: Path) -> None:
    mw.build("gpt2", **TINY).save(tmp_path / "body")
    assert mw.convert(tmp_path / "body", "google", tmp_path / "b").parts == ["embeddings", "decoder"]
    assert mw.convert(tmp_path / "b", "huggingface", tmp_path / "c").parts[-1] == "heads.causal_lm"  # it says nothing
    with pytest.raises(mw.WeightsError, match="has no head `sequence_classification`"):
        mw.convert(tmp_path / "body", "modelwright", tmp_path / "d", head="sequence_classification")


def test_what_a_format_does_not_store_is_told(run, tmp_path: Path) -> None:
    release = ORIGINALS / "gpt" / "release"
    code, _, err = run("--weights", release, "--to", "huggingface", "--output", tmp_path / "a")
    assert code == 4 and "give --set num_attention_heads=…" in err and not list(tmp_path.iterdir())
    code, _, _ = run("--weights", release, "--to", "huggingface", "--output", tmp_path / "a", "--set",
                     "num_attention_heads=3")  # fmt: skip
    assert code == 0
    code, out, _ = run("--weights", tmp_path / "a", "--to", "openai", "--output", tmp_path / "b")
    assert code == 0 and "openai does not store num_attention_heads: pass --set num_attention_heads=3" in out
    assert all(np.array_equal(np.load(tmp_path / "b" / f"params_{i}.npy"), np.load(release / f"params_{i}.npy"))
               for i in range(10))  # fmt: skip
    assert (tmp_path / "b" / "params_shapes.json").read_text() == (release / "params_shapes.json").read_text()


def test_errors_before_anything_is_written(run, tmp_path: Path) -> None:
    mw.build("gpt2", head="causal_lm", pad_token_id=7, **TINY).save(tmp_path / "a")
    source, before = ("--weights", tmp_path / "a"), sorted(tmp_path.iterdir())
    for arguments, code, words in (
        (("--to", "googel"), 2, ("did you mean `google`?", "its formats are huggingface, google")),
        (("--to", "google"), 1, ("pad_token_id = 7 cannot be said in google", "--set pad_token_id=null")),
        (("--to", "huggingface", "--head", "choice"), 4, ("has no head `choice`", "it has causal_lm")),
        (("--to", "huggingface", "--set", "num_hidden_layers=3"), 4, ("are not in",)),
    ):
        got, _, err = run(*source, "--output", tmp_path / "b", *arguments)
        assert got == code and all(word in err for word in words), err
        assert sorted(tmp_path.iterdir()) == before
    assert run(*source, "--to", "google", "--output", tmp_path / "b", "--set", "pad_token_id=null")[0] == 0
    code, _, err = run(*source, "--to", "google", "--output", tmp_path / "a")
    assert code == 2 and "there is something in" in err


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    """What is found out while tensors are written."""
    model = mw.build("roberta", head="masked_lm", type_vocab_size=1, **TINY)
    assert model.embeddings.segment.weight.any()
    model.save(tmp_path / "a")
    with pytest.raises(mw.SpecError, match="has no place in fairseq"):
        mw.convert(tmp_path / "a", "fairseq", tmp_path / "b")
    names = stored(tmp_path / "a")
    names["lm_head.bias"][3] = float("nan")
    write_safetensors(tmp_path / "a" / "model.safetensors", names)
    with pytest.raises(mw.WeightsError, match="NaN"):
        mw.convert(tmp_path / "a", "modelwright", tmp_path / "b")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert mw.convert(tmp_path / "a", "modelwright", tmp_path / "b", verify=False).parts


def test_types(tmp_path: Path) -> None:
    release = ORIGINALS / "t5_bfloat16" / "release"
    mw.convert(release, "huggingface", tmp_path / "a")
    assert {t.dtype for t in load_file(tmp_path / "a" / "model.safetensors").values()} == {torch.bfloat16}
    mw.convert(release, "huggingface", tmp_path / "b", dtype="float32")
    assert {t.dtype for t in load_file(tmp_path / "b" / "model.safetensors").values()} == {torch.float32}


def test_vocabulary_of_the_same_form_is_copied(tmp_path: Path) -> None:
    release = ORIGINALS / "gpt2" / "release"
    done = mw.convert(release, "huggingface", tmp_path / "a")
    assert done.vocabulary == ["vocab.json", "merges.txt"]
    again = mw.convert(tmp_path / "a", "google", tmp_path / "b")
    assert again.vocabulary == ["encoder.json", "vocab.bpe"]
    for name in again.vocabulary:
        assert (tmp_path / "b" / name).read_bytes() == (release / name).read_bytes()


def test_vocabulary_of_another_form_is_written_anew(tmp_path: Path) -> None:
    """fairseq numbers the pieces of another file; a release of the library has one file with the final ids."""
    model = mw.build("roberta", head="masked_lm", **TINY)
    with torch.no_grad():
        model.embeddings.segment.weight.zero_()
    model.save(tmp_path / "a", "fairseq")
    (tmp_path / "a" / "encoder.json").write_text(json.dumps({piece: i for i, piece in enumerate(PIECES)}))
    (tmp_path / "a" / "vocab.bpe").write_text("#version: 0.2\na b\nĠ a\n")
    (tmp_path / "a" / "dict.txt").write_text("2 9\n4 7\n1 5\n0 5\n3 1\nmadeupword0000 0\n")
    done = mw.convert(tmp_path / "a", "huggingface", tmp_path / "b")
    order = ["<s>", "<pad>", "</s>", "<unk>", "ab", "Ġa", "b", "a", "Ġ", "madeupword0000", "<mask>"]
    assert done.vocabulary == ["vocab.json", "merges.txt"]
    assert json.loads((tmp_path / "b" / "vocab.json").read_text()) == {piece: i for i, piece in enumerate(order)}
    names = mw.convert(tmp_path / "b", "fairseq", tmp_path / "c").vocabulary
    assert sorted(names) == ["dict.txt", "encoder.json", "vocab.bpe"]
    texts = ["ab a b", "ba ab"]
    ids = [mw.load_tokenizer(tmp_path / name, spec="roberta")(texts).input_ids for name in "abc"]
    assert ids[0] == ids[1] == ids[2] and 3 not in sum(ids[0], [])


def test_what_is_not_carried_along_is_said(tmp_path: Path) -> None:
    mw.build("gpt2", head="causal_lm", **TINY).save(tmp_path / "a")
    (tmp_path / "a" / "vocab.json").write_text(json.dumps({piece: i for i, piece in enumerate(PIECES)}))
    alone = mw.convert(tmp_path / "a", "google", tmp_path / "b")
    assert alone.vocabulary == [] and alone.notes == ["vocab.json is not carried along: it is no vocabulary by itself"]
    (tmp_path / "a" / "merges.txt").write_text("#version: 0.2\na b\n")
    (tmp_path / "a" / "tokenizer_config.json").write_text("{}")
    done = mw.convert(tmp_path / "a", "google", tmp_path / "c")
    assert done.notes == ["tokenizer_config.json: not carried along, google has no such files"]
    assert "tokenizer_config.json" in mw.convert(tmp_path / "a", "modelwright", tmp_path / "d").vocabulary


def test_what_other_programs_make_of_it(tmp_path: Path) -> None:
    """A file for fairseq is what torch.load gives fairseq: options as attributes, tensors under its names."""
    mw.convert(ORIGINALS / "roberta_cfg" / "release", "huggingface", tmp_path / "a")
    mw.convert(tmp_path / "a", "fairseq", tmp_path / "b")
    content = torch.load(tmp_path / "b" / "model.pt", weights_only=False)
    theirs = torch.load(ORIGINALS / "roberta_2019" / "release" / "model.pt", weights_only=False)
    assert isinstance(content["args"], argparse.Namespace) and content["args"].encoder_layers == 3
    assert content["model"].keys() <= theirs["model"].keys()
    assert {name: t.shape for name, t in content["model"].items()} == {
        name: theirs["model"][name].shape for name in content["model"]
    }


def test_a_variant_written_out_as_a_whole_stays_one(tmp_path: Path) -> None:
    """Its spec lies beside it. No config of another format can say what it changed."""
    mw.build("bert", overrides={"model.encoder.layer.residual": "pre"}, **TINY).save(tmp_path / "a", "modelwright")
    with pytest.raises(mw.SpecError, match="is built otherwise than bert"):
        mw.convert(tmp_path / "a", "huggingface", tmp_path / "b")
    mw.build("ctrl", max_position_embeddings=33, **TINY).save(tmp_path / "c", "modelwright")
    with pytest.raises(mw.SpecError, match="max_position_embeddings = 33 cannot be said in google"):
        mw.convert(tmp_path / "c", "google", tmp_path / "d")


def test_pickles_of_numpy_arrays(tmp_path: Path) -> None:
    """For specs whose format is a pickle: it is one that Python's own module reads."""
    specs = [(spec, format) for spec in mw.list_specs()
             for format, section in mw.load_spec(spec).sections["weights"].items()
             if section.get("store", [""])[0] == "pickle"]  # fmt: skip
    if not specs:
        pytest.skip("no spec is mapped to pickles")
    import sys

    sys.path.insert(0, str(Path(__file__).parent / "specs"))
    from synthetic import tiny_original

    for spec, format in specs:
        tiny_original(spec, format, tmp_path / spec)
        done = mw.convert(tmp_path / spec, format, tmp_path / format)
        content = pickle.loads(done.written[0].read_bytes())
        assert isinstance(content, dict)
