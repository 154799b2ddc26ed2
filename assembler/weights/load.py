"""Stored tensors -> a model's parameters, streamed as the plan says."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from ...errors import Diagnostic, SpecError, UsageError, WeightsError
from ..assemble import Skeleton
from ..stores import Store
from ..stores import verify as verify_store
from ..stores.dtypes import is_floating, torch_dtype
from ..ties import apply_ties
from .mapping import make_constant
from .plan import Plan, check_plan, make_plan
from .report import LoadReport


def load(
    skeleton: Skeleton,
    store: Store,
    format: str,
    *,
    name: str,
    device: torch.device,
    dtype: torch.dtype | None,
    allow_missing: bool,
    allow_unexpected: bool,
    verify: bool,
    dry_run: bool,
) -> LoadReport:
    """Fill the skeleton's model from a checkpoint, one tensor in memory at a time. `name` is for messages.

    `dry_run` stops after the check of names and shapes: the model stays on meta.
    """
    start = time.perf_counter()
    model = skeleton.model
    plan, format = make_plan(skeleton, store.tensors, format)
    check_plan(plan, name, allow_missing=allow_missing, allow_unexpected=allow_unexpected)
    dtype = dtype or _stored_dtype(store, plan)
    shapes = {key: tuple(parameter.shape) for key, parameter in model.named_parameters()}
    if not dry_run:
        _pour(skeleton, store, plan, shapes, device, dtype, verify)
    return LoadReport(
        weights=name, format=format, files=[str(path) for path in store.paths], dtype=str(dtype).removeprefix("torch."),
        tensors=len(shapes) - len(plan.fresh) - len(plan.missing),
        values=sum(p.numel() for key, p in model.named_parameters() if key not in {*plan.missing, *plan.fresh}),
        seconds=time.perf_counter() - start, fresh=plan.fresh, missing=plan.missing,
        tied=[tie.name for tie in skeleton.ties], unused=plan.unused, duplicates=[n for n, _ in plan.duplicates],
        ignored=plan.ignored, unexpected=plan.unexpected, verified=verify and not dry_run,
    )  # fmt: skip


def _pour(
    skeleton: Skeleton,
    store: Store,
    plan: Plan,
    shapes: Mapping[str, tuple[int, ...]],
    device: torch.device,
    dtype: torch.dtype,
    verify: bool,
) -> None:
    """Read, cast and place every tensor of the plan; what is left starts with initial values."""
    problems = verify_store(store, [stored_name for stored_name, _ in plan.reads]) if verify else []
    if problems:
        raise WeightsError(*problems)
    for stored_name, source in plan.reads:
        parts = source.pipeline.forward(store.read(stored_name), [shapes[target] for target in source.targets])
        for target, part in zip(source.targets, parts, strict=True):
            _assign(skeleton.model, target, part.to(device=device, dtype=dtype))
    for target, constant in plan.constants.items():
        _assign(skeleton.model, target, make_constant(constant, shapes[target]).to(device=device, dtype=dtype))
    unequal = _unequal(plan, store, skeleton.model, shapes)
    if unequal:
        raise WeightsError(*unequal)
    initialise(skeleton, device=device, dtype=dtype)


def _stored_dtype(store: Store, plan: Plan) -> torch.dtype:
    """The checkpoint's own, if it has one; float32 for a mixture."""
    dtypes = {dtype for dtype in (store.tensors[name].dtype for name, _ in plan.reads) if is_floating(dtype)}
    return torch_dtype(dtypes.pop()) if len(dtypes) == 1 else torch.float32


def _assign(model: nn.Module, name: str, tensor: Tensor) -> None:
    owner, _, leaf = name.rpartition(".")
    parameters = model.get_submodule(owner)._parameters
    parameters[leaf] = nn.Parameter(tensor, requires_grad=parameters[leaf].requires_grad)


def _unequal(
    plan: Plan, store: Store, model: nn.Module, shapes: Mapping[str, tuple[int, ...]]
) -> list[Diagnostic]:
    """Tensors stored twice must agree: otherwise it is not known which one the model was trained with."""
    problems = []
    for stored_name, source in plan.duplicates:
        parts = source.pipeline.forward(store.read(stored_name), [shapes[target] for target in source.targets])
        for target, part in zip(source.targets, parts, strict=True):
            ours = model.get_parameter(target)
            if not torch.equal(ours, part.to(device=ours.device, dtype=ours.dtype)):
                problems.append(
                    Diagnostic(f"`{stored_name}` is stored beside `{target}`, which it should equal, and differs",
                               help="if the two were trained apart, untie them: tie_word_embeddings=false")
                )  # fmt: skip
    return problems


def initialise(skeleton: Skeleton, *, device: torch.device, dtype: torch.dtype) -> None:
    """Give every parameter that is still on meta memory and its block's initial values, then tie names again."""
    model = skeleton.model
    std = getattr(model.config, "initializer_range", 0.02)
    if isinstance(std, bool) or not isinstance(std, int | float) or not 0 <= std < math.inf:
        place = model.spec.place(("hparams", "initializer_range"))
        raise SpecError(Diagnostic(f"`initializer_range` must be a number, 0 or more, but is `{std}`", place))
    apply_ties(model, list(skeleton.ties))
    for module, waiting in list(_waiting(model)):
        loaded = {name: p for name, p in module._parameters.items() if p is not None and name not in waiting}
        for name, parameter in module._parameters.items():
            if parameter is not None:
                fresh = _empty(parameter.shape, device, dtype)
                module._parameters[name] = nn.Parameter(fresh, requires_grad=parameter.requires_grad)
        module.reset_parameters(std)
        module._parameters.update(loaded)
    apply_ties(model, list(skeleton.ties))


def _empty(shape: torch.Size, device: torch.device, dtype: torch.dtype) -> Tensor:
    try:
        return torch.empty(shape, device=device, dtype=dtype)
    except RuntimeError as error:  # of which torch's out-of-memory errors are
        size = f"{shape.numel() * dtype.itemsize / 2**30:,.1f} GiB"
        raise UsageError(f"{device} has no room for a parameter of {list(shape)}, {size}") from error


def _waiting(model: nn.Module) -> Iterator[tuple[nn.Module, list[str]]]:
    """Modules with own parameters on meta, and which."""
    for module in model.modules():
        names = [name for name, parameter in module._parameters.items() if parameter is not None and parameter.is_meta]
        if names:
            yield module, names
