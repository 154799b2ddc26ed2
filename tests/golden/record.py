"""What the scripts of this folder share: draw weights that matter, run a reference model, write down what it said.

Each case folder holds the checkpoint as the reference itself writes it, `expected.safetensors` and `case.json`. Tensors
are named `<call>/in/<name>`, `<call>/out/<name>` and, for calls in train mode, `<call>/grad/<stored parameter name>`;
a tuple of tensors is numbered (`hidden_states.0`). `case.json` lists the calls in order and the greatest difference
between the reference's own float32 and float64 runs for every tensor, from which a tolerance can be drawn.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

#: What adds the same number to all scores of a softmax.
UNSEEN = (
    "key.bias", "k_lin.bias", "k_proj.bias", "Wk.bias", "start_logits.dense.bias", "end_logits.LayerNorm.bias",
    "end_logits.dense_1.bias",
)  # fmt: skip

Outputs = dict[str, Any]  # name -> tensor or sequence of tensors
Run = Callable[[nn.Module, "Call", dict[str, Any]], Outputs]


@dataclass(frozen=True)
class Call:
    """One forward pass (and, with `train`, the gradients of its loss with respect to every parameter).

    `head` is None for the body without a head. `carry` feeds an output of an earlier call: {"mems": "segment_1"}.
    `options` are hyper-parameters, by our names, with which this call was made whatever the checkpoint says.
    """

    name: str
    inputs: Mapping[str, Tensor]
    head: str | None = None
    carry: Mapping[str, str] = field(default_factory=dict)
    train: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def draw_weights(model: nn.Module, seed: int, std: float = 0.3) -> None:
    """Every parameter gets a value that moves the output: no zero bias, no norm that is the identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            parameter.normal_(0.0, std, generator=generator)
            if "norm" in name.lower() or ".ln_" in name:
                parameter.add_(1.0 if name.endswith(("weight", "gamma")) else 0.0)


def tokens(seed: int, low: int, high: int, *shape: int) -> Tensor:
    return torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def _no_downcast() -> Iterator[None]:
    """References write `.float()` here and there, which would take a float64 run back to float32."""
    original = torch.Tensor.float
    torch.Tensor.float = lambda self: self if self.dtype == torch.float64 else original(self)
    try:
        yield
    finally:
        torch.Tensor.float = original


def _cast(value: Any, dtype: torch.dtype) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.is_floating_point() else value.clone()
    return [_cast(item, dtype) for item in value]


def _flat(prefix: str, values: Mapping[str, Any]) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for name, value in values.items():
        parts = {name: value} if isinstance(value, Tensor) else {f"{name}.{i}": v for i, v in enumerate(value)}
        tensors |= {f"{prefix}/{key}": part.detach().clone().contiguous() for key, part in parts.items()}
    return tensors


def play(model: nn.Module, calls: Sequence[Call], run: Run, dtype: torch.dtype) -> dict[str, Tensor]:
    said: dict[str, Outputs] = {}
    tensors: dict[str, Tensor] = {}
    for call in calls:
        inputs = {name: _cast(value, dtype) for name, value in call.inputs.items()}
        inputs |= {name: said[source][name] for name, source in call.carry.items()}
        model.train(call.train)
        model.zero_grad(set_to_none=True)
        with torch.set_grad_enabled(call.train):
            said[call.name] = outputs = {k: v for k, v in run(model, call, inputs).items() if v is not None}
        tensors |= _flat(f"{call.name}/out", outputs)
        if call.train:
            outputs["loss"].backward()
            grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
            tensors |= _flat(f"{call.name}/grad", grads)
    return tensors


def _check_every_parameter_matters(
    model: nn.Module, calls: Sequence[Call], run: Run, before: Mapping[str, Tensor]
) -> None:
    calls = [replace(call, train=False) for call in calls]
    for name, parameter in model.named_parameters():
        if name.endswith(UNSEEN):
            continue
        kept = parameter.detach().clone()
        with torch.no_grad():
            noise = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
            parameter.add_(0.1 * noise.to(parameter))
        after = play(model, calls, run, parameter.dtype)
        change = max(float((after[key] - before[key]).abs().max()) for key in after)
        assert change > 1e-3, f"{name} hardly moves any output ({change:.1e}): nobody would notice if it were lost"
        with torch.no_grad():
            parameter.copy_(kept)


def record(
    folder: Path, reference: str, model: nn.Module, calls: Sequence[Call], run: Run,
    about: Mapping[str, Any] | None = None,
) -> None:  # fmt: skip
    """Run the calls in float32 and float64 and write `expected.safetensors` and `case.json` beside the checkpoint.

    `model` must have been read back from the checkpoint in `folder`, so that what is stored is what was run. `about` is
    what else the case says.
    """
    double = copy.deepcopy(model).double()
    single = play(model, calls, run, torch.float32)
    with _no_downcast():
        exact = play(double, calls, run, torch.float64)
        _check_every_parameter_matters(double, calls, run, exact)
    gap = {key: float((single[key].double() - exact[key]).abs().max()) for key in single}
    assert all(torch.isfinite(value).all() for value in single.values()), "a reference output is not finite"
    inputs: dict[str, Tensor] = {}
    for call in calls:
        inputs |= _flat(f"{call.name}/in", call.inputs)
    save_file({**inputs, **single}, str(folder / "expected.safetensors"))
    case = {
        **(about or {}),
        "reference": f"{reference}, torch {torch.__version__}",
        "class": type(model).__name__,
        "calls": [
            {
                "name": call.name,
                "head": call.head,
                "inputs": sorted(call.inputs),
                "carry": dict(call.carry),
                "train": call.train,
                "outputs": sorted({k.split("/")[2].split(".")[0] for k in single if k.startswith(f"{call.name}/out/")}),
                **({"set": dict(call.options)} if call.options else {}),
            }
            for call in calls
        ],
        "gap": {key: float(f"{value:.2g}") for key, value in gap.items()},
    }
    (folder / "case.json").write_text(json.dumps(case, indent=1) + "\n")
    print(f"{folder.name:24} {len(single):4} tensors, largest gap float32 to float64: {max(gap.values()):.1e}")
