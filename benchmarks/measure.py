"""One measurement of one library, in a process of its own: prints a line of JSON, figures by name and unit.

    python -P benchmarks/measure.py CASE SIDE SIZE FOLDER

`load_and_forward.py` calls it. Times are CPU time of the process, which other work on the machine disturbs less than
the clock on the wall.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

OURS = "modelwright"
#: transformers imports these where it finds them, and the package of the demo's model brings them along. Neither
#: library needs them, so neither gets them.
HIDDEN = ("scipy", "sklearn")

Figures = dict[str, float]


@dataclass(frozen=True)
class Size:
    """How large everything is. The three models: what differs from bert-base, GPT-2 small and transfo-xl-wt103."""

    batch: int
    length: int
    passes: int  # forwards whose median is taken
    steps: int  # tokens decoded, after as many of prompt
    bert: Mapping[str, Any]
    gpt2: Mapping[str, Any]
    transfo_xl: Mapping[str, Any]
    segment: int  # positions of a Transformer-XL forward
    t5: Mapping[str, Any]
    xlnet: Mapping[str, Any]
    long: int  # positions of a long text
    feed_forward: tuple[int, int, int]  # positions, width, width between


_FEW_WORDS = {"vocab_size": 20000, "cutoffs": [4000, 8000], "tie_projections": [False, True, True]}
_TINY = {"vocab_size": 99, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES = {
    "base": Size(8, 128, 3, 32, {}, {}, _FEW_WORDS, 512, {"num_layers": 2}, {"n_layer": 2}, 2048, (16384, 768, 3072)),
    "tiny": Size(
        2, 8, 1, 3, _TINY, {"vocab_size": 99, "n_embd": 16, "n_layer": 2, "n_head": 2},
        _FEW_WORDS | _TINY | {"cutoffs": [20, 40], "attention_head_size": 8, "memory_length": 8}, 8,
        {"vocab_size": 99, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2},
        {"vocab_size": 99, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 32}, 16, (256, 16, 64),
    ),
}  # fmt: skip


def peak() -> float:
    """The most memory this process has had at a time, in MiB."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def timed(call: Callable[[], Any]) -> tuple[float, Any]:
    """Milliseconds that a call takes, and what it returns."""
    start = time.process_time()
    result = call()
    return 1000 * (time.process_time() - start), result


def repeated(call: Callable[[], Any], passes: int) -> float:
    """The median of several calls, in milliseconds."""
    return median(timed(call)[0] for _ in range(passes))


def checkpoint(side: str, size: Size, folder: Path, *, spec: str, head: str, peer: str, caches: bool) -> Figures:
    """Import one library, load the checkpoint in `folder / spec` with it, and run it."""
    torch_ms, torch = timed(partial(importlib.import_module, "torch"))
    torch_peak, path = peak(), folder / spec
    import_ms, load = timed(partial(_modelwright, spec, head) if side == OURS else partial(_transformers, peer))
    load_ms, model = timed(lambda: load(path))
    # Both libraries map the file into memory; reading the weights is what brings it there.
    read_ms, _ = timed(lambda: [parameter.detach().sum() for parameter in model.parameters()])
    load_peak = peak()
    stored = sum(file.stat().st_size for file in path.glob("*.safetensors")) / 2**20

    ids = torch.randint(model.config.vocab_size, (size.batch, size.length), generator=torch.Generator().manual_seed(0))
    lengths = torch.linspace(size.length / 2, size.length, size.batch).long()
    full, padded = torch.ones_like(ids), (torch.arange(size.length) < lengths[:, None]).long()
    run = partial(model, ids, **({"use_cache": False} if caches else {}))
    with torch.inference_mode():
        first_ms, _ = timed(lambda: run(attention_mask=full))
        full_ms = repeated(lambda: run(attention_mask=full), size.passes)
        padded_ms = repeated(lambda: run(attention_mask=padded), size.passes)
        token_ms = _decode(model, ids.flatten()[None], size.steps) if caches else None
    shape = f"forward {size.batch} x {size.length}"
    figures = {
        "import, torch included [ms]": torch_ms + import_ms,
        "import, torch imported before [ms]": import_ms,
        "build and load [ms]": load_ms,
        "build and load, then read every weight [ms]": load_ms + read_ms,
        "import torch and library, build and load [ms]": torch_ms + import_ms + load_ms,
        "first forward [ms]": first_ms,
        f"{shape} [ms]": full_ms,
        f"{shape}, padded [ms]": padded_ms,
    }
    if token_ms is not None:
        figures["decode a token, batch 1, cached [ms]"] = token_ms
    return figures | {
        "peak RSS, `import torch` alone [MiB]": torch_peak,
        "peak RSS, loaded and every weight read [MiB]": load_peak,
        "the same less torch alone [file sizes]": (load_peak - torch_peak) / stored,
        "peak RSS, after the forwards [MiB]": peak(),
    }


def _modelwright(spec: str, head: str | None) -> Callable[[Path], Any]:
    import modelwright

    build = modelwright.build  # which is what imports: the package itself is lazy
    return lambda path: build(spec, weights=path, head=head)


def _transformers(peer: str) -> Callable[[Path], Any]:
    import transformers

    return getattr(transformers, peer).from_pretrained


def _decode(model: Any, ids: Any, steps: int) -> float:
    """Milliseconds a token: `steps` ids are the prompt, as many follow one by one."""
    cache = model(ids[:, :steps], use_cache=True).past_key_values
    times = []
    for step in range(steps, 2 * steps):
        token = ids[:, step : step + 1]
        ms, output = timed(partial(model, token, past_key_values=cache, use_cache=True))
        cache = output.past_key_values
        times.append(ms)
    return median(times)


def relative_attention(side: str, size: Size, folder: Path) -> Figures:
    """A segment and its memory through a Transformer-XL body."""
    import torch

    import modelwright

    model = modelwright.build("transfo_xl", **size.transfo_xl)
    ids = torch.randint(model.config.vocab_size, (1, size.segment), generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        mems = model(ids).mems
        forward_ms = repeated(lambda: model(ids, mems=mems), size.passes)
    return {f"forward 1 x {size.segment}, memory {mems[0].shape[0]} [ms]": forward_ms}


def long_text(side: str, size: Size, folder: Path, *, spec: str, peer: str) -> Figures:
    """One long text through a body whose attention knows distances."""
    import torch

    load = _modelwright(spec, None) if side == OURS else _transformers(peer)
    model = load(folder / f"{spec}-long")
    ids = torch.randint(model.config.vocab_size, (1, size.long), generator=torch.Generator().manual_seed(0))
    for parameter in model.parameters():
        parameter.detach().sum()  # mapped weights come into memory now, not with the first pass
    before = peak()
    with torch.inference_mode():
        forward_ms = repeated(lambda: model(ids), size.passes)
    return {f"forward 1 x {size.long} [ms]": forward_ms, "peak RSS, what it adds [MiB]": peak() - before}


def chunking(side: str, size: Size, folder: Path) -> Figures:
    """One feed-forward block over many positions; `side` ends with its chunk size."""
    import torch

    from modelwright.blocks import Context
    from modelwright.blocks.feed_forward import FeedForward

    positions, width, inner = size.feed_forward
    block = FeedForward(hidden_size=width, intermediate_size=inner, chunk_size=int(side.split()[-1]))
    hidden, before = torch.randn(1, positions, width), peak()
    with torch.inference_mode():
        forward_ms, _ = timed(lambda: block(hidden, Context()))
    shape = f"{positions} x {width} ({inner})"
    return {f"forward {shape} [ms]": forward_ms, "peak RSS, what it adds [MiB]": peak() - before}


def prepare(side: str, size: Size, folder: Path) -> dict[str, str]:
    """Save the checkpoints, with random weights, where `checkpoint` looks for them; returns the versions compared."""
    import torch
    import transformers as peer

    import modelwright

    torch.manual_seed(0)
    peer.BertForMaskedLM(peer.BertConfig(**size.bert)).save_pretrained(folder / "bert")
    peer.GPT2LMHeadModel(peer.GPT2Config(**size.gpt2)).save_pretrained(folder / "gpt2")
    peer.T5EncoderModel(peer.T5Config(**size.t5)).save_pretrained(folder / "t5_encoder-long")
    peer.XLNetModel(peer.XLNetConfig(**size.xlnet)).save_pretrained(folder / "xlnet-long")
    modelwright.build("bert", weights=folder / "bert", dry_run=True)  # leaves bytecode, as the lines above do
    return {module.__name__: module.__version__ for module in (modelwright, peer, torch)}


CASES: dict[str, Callable[[str, Size, Path], Any]] = {
    "prepare": prepare,
    "bert": partial(checkpoint, spec="bert", head="masked_lm", peer="BertForMaskedLM", caches=False),
    "gpt2": partial(checkpoint, spec="gpt2", head="causal_lm", peer="GPT2LMHeadModel", caches=True),
    "transfo_xl": relative_attention,
    "xlnet": partial(long_text, spec="xlnet", peer="XLNetModel"),
    "t5_encoder": partial(long_text, spec="t5_encoder", peer="T5EncoderModel"),
    "chunking": chunking,
}

if __name__ == "__main__":
    case, side, size, folder = sys.argv[1:]
    sys.modules.update(dict.fromkeys(HIDDEN))  # None in the place of a module: not to be found
    print(json.dumps(CASES[case](side, SIZES[size], Path(folder))))
