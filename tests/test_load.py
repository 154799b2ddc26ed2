"""Loading: which checkpoints fit, what the report says, and one clear error for each that does not."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import modelwright as mw
from modelwright.errors import ModelwrightError

transformers = pytest.importorskip("transformers")
SMALL = {
    "vocab_size": 40, "hidden_size": 16, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 20,
    "max_position_embeddings": 24, "initializer_range": 0.3,
}  # fmt: skip


@pytest.fixture(scope="module")
def pretraining(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    transformers.BertForPreTraining(transformers.BertConfig(**SMALL)).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(pretraining: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pretraining, tmp_path / "checkpoint"))


def edit(folder: Path, change) -> Path:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def edit_config(folder: Path, **values: object) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


def test_the_spec_is_found_from_the_weights(folder: Path) -> None:
    model = mw.build(weights=folder)
    assert model.spec.name == "bert" and model.config.num_hidden_layers == 4 and not model.training
    report = model.load_report
    assert report.tensors == len(dict(model.named_parameters())) and not report.fresh
    assert any(name.startswith("cls.predictions") for name in report.unused)
    assert "layers.{0…3}" not in str(report) and "unused" in str(report)


def test_parts_and_heads_a_checkpoint_lacks(folder: Path) -> None:
    transformers.BertForMaskedLM(transformers.BertConfig(**SMALL)).save_pretrained(folder)  # no pooler
    assert mw.build(weights=folder).load_report.fresh == ["pooler.dense.weight", "pooler.dense.bias"]
    model = mw.build("bert", weights=folder, head="sequence_classification", num_labels=10)
    assert model.heads["sequence_classification"].projection.weight.shape == (10, 16)
    assert set(model.load_report.fresh) >= {"heads.sequence_classification.projection.weight", "pooler.dense.bias"}
    assert "pooler" not in dict(mw.build(weights=folder, head="masked_lm").named_children())
    with pytest.raises(mw.WeightsError, match="2 parameters are not in") as error:
        mw.build(weights=folder, head="next_sentence_prediction", allow_missing=False)
    assert "looked for as cls.seq_relationship.weight" in str(error.value)
    allowed = mw.build(weights=folder, head="next_sentence_prediction", allow_missing=True)
    assert len(allowed.load_report.missing) == 2


ROBERTA = SMALL | {"type_vocab_size": 1}
GPT = {"vocab_size": 40, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 24}
DISTILBERT = {"vocab_size": 40, "dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 20, "max_position_embeddings": 24}


@pytest.mark.parametrize(
    ("reference", "config", "head", "besides", "unused"),
    [
        ("RobertaForMaskedLM", ROBERTA, "masked_lm",
         {"roberta.embeddings.position_ids": torch.arange(24)[None], "roberta.pooler.dense.weight": torch.ones(16, 16),
          "lm_head.decoder.weight": "roberta.embeddings.word_embeddings.weight", "lm_head.decoder.bias": "lm_head.bias",
          "roberta.pooler.dense.bias": torch.ones(16)}, 2),
        ("OpenAIGPTLMHeadModel", GPT, "causal_lm",
         {"transformer.h.0.attn.bias": torch.ones(1, 1, 24, 24).tril(), "transformer.position_ids": torch.arange(24),
          "lm_head.weight": "transformer.tokens_embed.weight"}, 0),
        ("CTRLLMHeadModel", GPT | {"dff": 20}, "causal_lm", {"lm_head.weight": "transformer.w.weight"}, 0),
        ("DistilBertForMaskedLM", DISTILBERT, "masked_lm",
         {"vocab_projector.weight": "distilbert.embeddings.word_embeddings.weight"}, 0),
    ],
)  # fmt: skip
def test_what_published_files_store_besides(
    folder: Path, reference: str, config: dict, head: str, besides: dict, unused: int
) -> None:
    cls = getattr(transformers, reference)
    cls(cls.config_class(**config)).save_pretrained(folder)

    def add(tensors: dict[str, torch.Tensor]) -> None:
        tensors |= {name: tensors[v].clone() if isinstance(v, str) else v for name, v in besides.items()}

    report = mw.build(weights=edit(folder, add), head=head).load_report
    assert len(report.unused) == unused and not report.fresh and not report.unexpected


def test_a_task_checkpoint_without_pooler_is_a_body_with_a_fresh_one(folder: Path) -> None:
    config = transformers.RobertaConfig(**ROBERTA, num_labels=3)
    transformers.RobertaForSequenceClassification(config).save_pretrained(folder)
    assert mw.build(weights=folder).load_report.fresh == ["pooler.dense.weight", "pooler.dense.bias"]
    assert not mw.build(weights=folder, head="sequence_classification").load_report.fresh


def test_labels_come_from_the_config(folder: Path) -> None:
    labels = {0: "a", 1: "b", 2: "c", 3: "d", 4: "e"}
    config = transformers.BertConfig(**SMALL, id2label=labels, label2id={v: k for k, v in labels.items()})
    transformers.BertForSequenceClassification(config).save_pretrained(folder)
    model = mw.build(weights=folder, head="sequence_classification")
    assert model.config.num_labels == 5 and model.config.id2label == labels
    model.save(folder / "again")
    assert transformers.AutoConfig.from_pretrained(folder / "again").id2label == labels
    other = mw.build(weights=folder, head="sequence_classification", num_labels=3, allow_missing=True)
    assert other.config.id2label is None and other.heads["sequence_classification"].projection.weight.shape[0] == 3
    with pytest.raises(mw.WeightsError, match="another shape"):
        mw.build(weights=folder, head="sequence_classification", num_labels=3)


def test_missing_extra_and_misshapen_are_one_report(folder: Path) -> None:
    def damage(tensors: dict[str, torch.Tensor]) -> None:
        for layer in range(4):
            name = f"bert.encoder.layer.{layer}.attention.self.query.weight"
            tensors[name.replace("query", "qeury")] = tensors.pop(name)
            tensors[f"bert.encoder.layer.{layer}.output.dense.bias"] = torch.zeros(7)

    with pytest.raises(mw.WeightsError) as error:
        mw.build(weights=edit(folder, damage))
    text = str(error.value)
    assert "4 parameters are not in" in text and "encoder.layers.{0…3}.attention.query.weight" in text
    assert "did you mean `bert.encoder.layer.{0…3}.attention.self.qeury.weight`?" in text
    assert "4 parameters have another shape" in text and "[7] in the checkpoint, [16] in the model" in text
    assert "4 tensors in" in text and "--allow-unexpected" in text
    assert len(error.value.diagnostics) == 3


def test_nan_is_found_when_asked_for(folder: Path) -> None:
    def poison(tensors: dict[str, torch.Tensor]) -> None:
        tensors["bert.encoder.layer.1.output.dense.weight"][3, 4] = float("nan")

    edit(folder, poison)
    with pytest.raises(mw.WeightsError, match="1 NaN"):
        mw.build(weights=folder, verify=True)
    assert mw.build(weights=folder).load_report.verified is False


def test_copies_that_differ_are_refused(folder: Path) -> None:
    edit(folder, lambda tensors: tensors.update({"cls.predictions.decoder.weight": torch.ones(40, 16)}))
    with pytest.raises(mw.WeightsError, match="should equal"):
        mw.build(weights=folder, head="masked_lm")


@pytest.mark.parametrize("kept", ["wte", "lm_head"])
def test_a_tied_tensor_may_stand_under_either_name(folder: Path, kept: str) -> None:
    config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=24)
    theirs = transformers.GPT2LMHeadModel(config).eval()
    theirs.save_pretrained(folder)

    def rename(tensors: dict[str, torch.Tensor]) -> None:
        if kept == "lm_head":
            tensors["lm_head.weight"] = tensors.pop("transformer.wte.weight")

    model = mw.build(weights=edit(folder, rename), head="causal_lm")
    ids = torch.arange(8)[None]
    with torch.no_grad():
        torch.testing.assert_close(model(ids).logits, theirs(ids).logits, rtol=0, atol=2e-5)


def test_a_variant_beats_the_config_and_keeps_what_fits(folder: Path, tmp_path: Path) -> None:
    variant = tmp_path / "shallow.yaml"
    variant.write_text("spec: shallow\nextends: bert\nhparams:\n  num_hidden_layers: 2\n")
    with pytest.raises(mw.WeightsError, match="belong to nothing in the spec"):
        mw.build(variant, weights=folder)
    model = mw.build(variant, weights=folder, allow_unexpected=True)
    assert len(model.encoder.layers) == 2 and model.config.hidden_size == 16
    assert "encoder.layer.{2,3}" in str(model.load_report) or "{2…3}" in str(model.load_report)


def test_numbers_given_by_the_caller_beat_the_config(folder: Path) -> None:
    assert mw.build(weights=folder, layer_norm_eps=1e-3).encoder.layers[0].attention.norm.eps == 1e-3
    assert mw.build(weights=folder, overrides=["layer_norm_eps=1e-4"]).embeddings.norm.eps == 1e-4
    assert mw.build("bert", config=folder / "config.json").config.hidden_size == 16  # untrained


def test_unknown_hparams_are_refused_with_a_suggestion() -> None:
    with pytest.raises(mw.SpecError) as error:
        mw.build("bert", num_lables=10)
    assert "unknown hparam `num_lables`" in str(error.value) and "did you mean `num_labels`" in str(error.value)
    assert "num_lables=10 (argument)" in str(error.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"model_type": "gpt2"}, "says model_type `gpt2`"),
        ({"position_embedding_type": "relative_key"}, "can only build 'absolute'"),
        ({"hidden_act": "wobble"}, "hidden_act = 'wobble'"),
        ({"rotary_base": 3}, "has a key `rotary_base` that the spec bert does not know"),
        ({"hidden_size": "wide"}, "`hidden_size`"),
        ({"num_attention_heads": 5}, "16 cannot be split into 5 heads"),
    ],
)
def test_configs_that_do_not_fit(folder: Path, values: dict[str, object], message: str) -> None:
    with pytest.raises(ModelwrightError) as error:
        mw.build("bert", weights=edit_config(folder, **values))
    assert message in str(error.value)


BERT_KEYS = sorted(transformers.BertConfig().to_dict())


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(values=st.dictionaries(
    st.sampled_from(BERT_KEYS),
    st.recursive(st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(max_size=5),
                 lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)),
    max_size=3,
))  # fmt: skip
def test_any_config_builds_or_is_one_clear_error(pretraining: Path, values: dict[str, object]) -> None:
    config = json.loads((pretraining / "config.json").read_text()) | values
    with contextlib.suppress(ModelwrightError):
        mw.build("bert", weights=pretraining, config=config, dry_run=True)


def test_unknown_config_keys_can_be_passed_over(folder: Path) -> None:
    assert mw.build(weights=edit_config(folder, rotary_base=3), allow_unexpected=True).spec.name == "bert"


def test_without_a_config_names_tell_the_spec_and_the_caller_the_numbers(folder: Path) -> None:
    (folder / "config.json").unlink()
    with pytest.raises(mw.WeightsError, match=r"(?s)another shape.*own config"):
        mw.build(weights=folder)
    assert mw.build(weights=folder, **SMALL).spec.name == "bert"
    assert mw.build("bert", weights=folder / "model.safetensors", **SMALL).config.hidden_size == 16


def test_state_dicts_in_either_naming(folder: Path) -> None:
    ours = mw.build(weights=folder, head="pretraining")
    theirs = transformers.BertForPreTraining.from_pretrained(folder).state_dict()
    ids = torch.arange(9)[None]
    for state in (theirs, ours.state_dict()):
        again = mw.build("bert", weights=state, head="pretraining", **SMALL)
        torch.testing.assert_close(again(ids).prediction_logits, ours(ids).prediction_logits, rtol=0, atol=0)
    torch.save(ours.state_dict(), folder / "own.pt")
    again = mw.build("bert", weights=folder / "own.pt", head="pretraining")
    assert again.load_report.format == "modelwright"


def test_dtype_is_the_checkpoints_own_unless_asked(folder: Path) -> None:
    assert mw.build(weights=folder).dtype == torch.float32
    transformers.BertModel(transformers.BertConfig(**SMALL)).bfloat16().save_pretrained(folder)
    assert mw.build(weights=folder).dtype == torch.bfloat16
    assert mw.build(weights=folder, dtype="float32").dtype == torch.float32
    with pytest.raises(mw.UsageError, match="float31"):
        mw.build(weights=folder, dtype="float31")


def test_loading_maps_the_file_and_never_writes_to_it(folder: Path) -> None:
    before = (folder / "model.safetensors").read_bytes()
    model = mw.build(weights=folder)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert (folder / "model.safetensors").read_bytes() == before
    model.save(folder)  # over the file that is mapped
    assert mw.build(weights=folder).embeddings.token.weight.abs().sum() == 0


def test_a_variant_saves_with_its_spec(folder: Path, tmp_path: Path) -> None:
    variant = tmp_path / "prenorm.yaml"
    variant.write_text("spec: prenorm\nextends: bert\nmodel:\n  encoder:\n    layer: {residual: pre}\n")
    model = mw.build(variant, weights=folder, head="masked_lm")
    with pytest.raises(mw.SpecError, match="built otherwise than bert"):
        model.save(tmp_path / "out")
    model.save(tmp_path / "out", format="modelwright")
    again = mw.build(weights=tmp_path / "out", head="masked_lm")
    ids = torch.arange(9)[None]
    assert again.spec.name == "prenorm" and again.config.hidden_size == 16
    torch.testing.assert_close(again(ids).logits, model(ids).logits, rtol=0, atol=0)
    assert (again(ids).logits - mw.build(weights=folder, head="masked_lm")(ids).logits).abs().max() > 1e-3


def test_a_variant_with_own_parameters_comes_back(tmp_path: Path) -> None:
    variant = tmp_path / "wider.yaml"
    extra = "{block: feed_forward, hidden_size: '${hidden_size}', intermediate_size: 8}"
    nested = f"model:\n  encoder:\n    layer:\n      sublayers:\n        extra: {extra}\n"
    variant.write_text("spec: wider\nextends: bert\n" + nested)
    model = mw.build(variant, **SMALL)
    model.save(tmp_path / "out", format="modelwright")
    again = mw.build(weights=tmp_path / "out")
    assert torch.equal(again.encoder.layers[3].extra.output.weight, model.encoder.layers[3].extra.output.weight)
    with pytest.raises(mw.SpecError, match="layers.{0…3}.extra.intermediate.weight"):
        mw.build(variant, weights={"encoder.layer.0.output.dense.bias": torch.zeros(16)}, **SMALL)


@pytest.mark.parametrize("rules", ["'" + "{a,b}" * 30 + "': x", "x.{i}.{i}.y: z"])
def test_rules_cannot_exhaust_the_machine(folder: Path, tmp_path: Path, rules: str) -> None:
    spec = tmp_path / "bomb.yaml"
    spec.write_text("spec: bomb\nextends: bert\nweights:\n  huggingface:\n    rules:\n      " + rules + "\n")
    if "{i}" in rules:
        assert mw.build(spec, weights=folder).spec.name == "bomb"  # about a part the model does not have
    else:
        with pytest.raises(mw.SpecError, match="more than 10000 names"):
            mw.build(spec, weights=folder)


def test_names_that_modules_have_taken_are_refused(tmp_path: Path) -> None:
    for path, name in (("model", "config"), ("model", "forward"), ("heads", "keys"), ("model", "heads")):
        spec = tmp_path / "taken.yaml"
        block = "next_sentence_head" if path == "heads" else "first_token_pooler"
        spec.write_text(f"spec: taken\nextends: bert\n{path}:\n  {name}: {{block: {block}, hidden_size: 768}}\n")
        with pytest.raises(mw.SpecError, match=f"`{name}` cannot be a name here"):
            mw.build(spec)


def test_named_labels_count_themselves() -> None:
    names = {0: "a", 1: "b", 2: "c"}
    model = mw.build("bert", head="sequence_classification", id2label=names, **SMALL)
    assert model.config.num_labels == 3 and model.heads["sequence_classification"].projection.weight.shape[0] == 3
    with pytest.raises(mw.SpecError, match="names 3 labels, num_labels is 5"):
        mw.build("bert", head="sequence_classification", id2label=names, num_labels=5, **SMALL)


def test_what_the_config_says_of_others_is_kept(folder: Path) -> None:
    config = transformers.BertConfig(**SMALL, bos_token_id=2, eos_token_id=3, pad_token_id=None)
    transformers.BertModel(config).save_pretrained(folder)
    model = mw.build(weights=folder)
    assert model.config.pad_token_id is None and model.embeddings.token.padding_id is None
    model.save(folder / "again")
    again = transformers.AutoConfig.from_pretrained(folder / "again")
    assert (again.bos_token_id, again.eos_token_id, again.pad_token_id) == (2, 3, None)


def test_a_shortcut_is_found_under_its_old_name_too(folder: Path, tmp_path: Path) -> None:
    repository, commit = tmp_path / "hub" / "models--bert-base-cased", "b" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    assert mw.build(weights="bert-base-cased", cache_dir=tmp_path / "hub").config.hidden_size == 16


def test_a_spec_without_formats_keeps_its_own_names(tmp_path: Path) -> None:
    spec = tmp_path / "own.yaml"
    spec.write_text("spec: own\nhparams: {size: 9}\nmodel:\n  embeddings:\n    block: sum_embeddings\n    lookups:\n"
                    "      token: {block: token_lookup, size: '${size}', width: 4}\n")  # fmt: skip
    model = mw.build(spec, size=11)
    model.save(tmp_path / "out", format="modelwright")
    again = mw.build(weights=tmp_path / "out")
    assert torch.equal(again.embeddings.token.weight, model.embeddings.token.weight) and again.config.size == 11
    with pytest.raises(mw.WeightsError, match="another shape"):
        mw.build(spec, weights=tmp_path / "out" / "model.safetensors")


def test_saving_refuses_what_the_format_cannot_say(folder: Path) -> None:
    model = mw.build("transfo_xl", vocab_size=30, cutoffs=[10], tie_projections=[False, True], hidden_size=16,
                     num_hidden_layers=1, num_attention_heads=2, attention_head_size=8, intermediate_size=8,
                     hidden_act="silu", embedding_divisor=2)  # fmt: skip
    with pytest.raises(mw.SpecError, match="hidden_act = 'silu' cannot be said"):
        model.save(folder / "out")
    assert not (folder / "out").exists()
    with pytest.raises(mw.UsageError, match="cannot be written as `tensorflow`"):
        model.save(folder / "out", format="tensorflow")


@pytest.mark.parametrize("name", [
    *(f"bert-{size}-{case}" for size in ("base", "large") for case in ("uncased", "cased")),
    *(f"bert-base-multilingual-{case}" for case in ("uncased", "cased")), "bert-base-chinese", "bert-base-german-cased",
    *(f"bert-base-german-dbmdz-{case}" for case in ("cased", "uncased")),
    *(f"bert-large-{case}-whole-word-masking" for case in ("uncased", "cased")),
    *(f"bert-large-{case}-whole-word-masking-finetuned-squad" for case in ("uncased", "cased")),
    "bert-base-cased-finetuned-mrpc", "gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl", "distilgpt2", "transfo-xl-wt103",
])  # fmt: skip
def test_every_shortcut_resolves_and_offline_is_one_clear_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(mw.DownloadError) as error:
        mw.build(weights=name, cache_dir=tmp_path)
    assert name.split("/")[-1] in str(error.value) and "HF_HUB_OFFLINE" in str(error.value)
    assert len(error.value.diagnostics) == 1


def test_a_shortcut_finds_what_others_have_downloaded(folder: Path, tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "models--google-bert--bert-base-uncased"
    commit = "a" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    shutil.copytree(folder, repository / "snapshots" / commit)
    model = mw.build(weights="bert-base-uncased", cache_dir=tmp_path / "hub")
    assert model.spec.name == "bert" and model.config.hidden_size == 16
