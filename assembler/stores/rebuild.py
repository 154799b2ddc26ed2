"""The closed table of what a pickle may name, and our own inert stand-ins for it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .arrays import StoredArray, StoredDtype, scalar
from .base import Refused, quoted, representable
from .dtypes import ITEMSIZE

RESAVE = (
    "use a safetensors release of these weights; or, if you trust where this file comes from,\n"
    "load it with the program that made it and save `model.state_dict()` alone"
)


@dataclass(frozen=True, slots=True)
class Global:
    """A name out of Python's modules. Only ever compared, never imported."""

    name: str


@dataclass(frozen=True, slots=True)
class StoredStorage:
    key: str
    dtype: str
    numel: int  # elements of `dtype`


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A strided view of a storage; offset and strides count elements of `dtype`."""

    storage: StoredStorage
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class Attributes(dict):
    """An object of a class that is known to hold values only: its attributes by name."""


# Storage types by the name torch.save gives them: the dtype of their elements.
_STORAGES: dict[str, str] = {
    "torch.DoubleStorage": "float64", "torch.FloatStorage": "float32", "torch.HalfStorage": "float16",
    "torch.BFloat16Storage": "bfloat16", "torch.LongStorage": "int64", "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16", "torch.CharStorage": "int8", "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool", "torch.ComplexFloatStorage": "complex64",
    "torch.ComplexDoubleStorage": "complex128", "torch.storage.UntypedStorage": "uint8",
}

# What a type is called in a pickle.
_DTYPES = {f"torch.{name}": name for name in ITEMSIZE}

_OTHER_TENSORS = {
    "torch._utils._rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils._rebuild_sparse_csr_tensor": "a sparse tensor",
    "torch._utils._rebuild_qtensor": "a quantized tensor",
    "torch._utils._rebuild_nested_tensor": "a nested tensor",
    "torch._utils._rebuild_meta_tensor_no_storage": "a tensor without values (meta device)",
    "torch._utils._rebuild_wrapper_subclass": "a tensor subclass",
    "torch._utils._rebuild_device_tensor_from_numpy": "a tensor of another device",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": "a tensor of another device",
    "torch._utils._rebuild_xla_tensor": "a tensor of another device",
}
_TYPES = {"torch.Tensor", "torch.nn.parameter.Parameter", "numpy.ndarray"}
# Classes whose objects come as their attributes: options, and what releases keep beside their weights.
_OBJECTS = {"argparse.Namespace", "trax.history.History", "data_utils.Corpus", "vocabulary.Vocab"}


def look_up(name: str) -> Global | None:
    """What stands for a global; None if it is not in the table. `Refused` for what is known to be of no use."""
    if any(name in table for table in (_STORAGES, _TYPES, _CALLS, _OBJECTS, _DTYPES)):
        return Global(name)
    if name in _OTHER_TENSORS or name.startswith(("torch.Q", "torch.q", "torch.per_", "torch.serialization._get_lay")):
        kind = _OTHER_TENSORS.get(name, "a sparse or quantized tensor")
        raise Refused(f"it holds {kind}, which is not supported here", "save plain (dense) tensors")
    return None


def refuse_global(name: str, whole: bool) -> Any:
    """`whole`: all that the pickle holds is made by it."""
    if name in ("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer"):
        raise Refused("it holds arrays as pickle protocol 5 spells them", "pickle them with `protocol=4`")
    what = "it is all one object, a module pickled whole perhaps, of" if whole else "it names"
    raise Refused(f"its pickle wants to run code: {what} {quoted(name)}. Nothing was executed", RESAVE)


def instance(kind: object, arguments: object) -> Attributes:
    """A new object without attributes."""
    if not isinstance(kind, Global) or kind.name not in _OBJECTS or arguments != ():
        raise TypeError("an object of what is no class")
    return Attributes()


def build(target: object, state: object) -> int:
    """What a pickle says of an object after making it. Returns how many values were copied for that."""
    if isinstance(target, StoredArray | StoredDtype):
        target.build(state)
    elif isinstance(target, Attributes):
        if not isinstance(state, dict):
            raise TypeError("an object without attributes")
        target.update(state)
        return len(state)
    elif not isinstance(target, dict | StoredTensor):  # the versions of modules, the attributes of a tensor: not needed
        raise TypeError(f"not for {type(target).__name__}")
    return 0


def call(function: object, arguments: object) -> object:
    """The value of a call in the pickle, made by our stand-in."""
    if not isinstance(function, Global) or function.name not in _CALLS:
        raise TypeError("a call of what is no function")
    if not isinstance(arguments, tuple) or len(arguments) > 10:
        raise TypeError("a call without proper arguments")
    return _CALLS[function.name](*arguments)


def storage_of(
    kind: object, storage: object, key: object, location: object, numel: object, view: object = None
) -> StoredStorage:
    """What a persistent id says; its fields as torch writes them."""
    if kind not in ("storage", b"storage") or not isinstance(storage, Global) or storage.name not in _STORAGES:
        raise TypeError("a reference to something that is no storage")
    if view is not None:
        raise Refused("it holds views of storages, as only the first releases of torch wrote them", RESAVE)
    if not isinstance(key, str) or type(numel) is not int or numel < 0:
        raise TypeError("a storage without name or size")
    return StoredStorage(key, _STORAGES[storage.name], numel)


def fill(target: dict, items: list) -> None:
    """Set items as a pickle lists them: key, value, key, value…"""
    for key, value in zip(items[::2], items[1::2], strict=True):
        parts = key if isinstance(key, tuple) and len(key) <= 8 else (key,)
        if not all(isinstance(part, str | int | float | bytes | None) for part in parts):
            raise TypeError(f"a {type(key).__name__} as key")  # hashing nested tuples can take forever
        target[key] = value


# The three forms of a tensor differ in what stands between its strides and its metadata: nothing, (requires_grad,
# hooks), or (requires_grad, hooks, dtype).
def _tensor(storage: StoredStorage, offset: int, shape: tuple, stride: tuple, *rest: object) -> StoredTensor:
    return _view(storage, storage.dtype, offset, shape, stride, *rest[2:])


def _tensor_of_dtype(storage: StoredStorage, offset: int, shape: tuple, stride: tuple, *rest: object) -> StoredTensor:
    _, _, dtype, *metadata = rest
    if not isinstance(dtype, Global):
        raise TypeError("a tensor without type")
    return _view(storage, _DTYPES[dtype.name], offset, shape, stride, *metadata)


def _view(
    storage: StoredStorage, dtype: str, offset: int, shape: tuple, stride: tuple, metadata: object = None
) -> StoredTensor:
    """Checks that the view stays inside its storage and is no larger than it: an expanded view of one number is how
    a tiny file asks for all the memory there is."""
    if not isinstance(storage, StoredStorage):
        raise TypeError("a tensor without storage")
    if metadata:
        raise Refused("it holds a lazily conjugated or negated tensor", "save `tensor.resolve_conj().resolve_neg()`")
    if not len(shape) == len(stride) <= 64 or any(
        type(number) is not int or not 0 <= number < 2**63 for number in (offset, *shape, *stride)
    ):
        raise TypeError("a tensor without a proper shape")
    if not representable(shape):
        raise Refused(f"a tensor claims an impossible shape: {list(shape)}")
    numel = math.prod(shape)
    last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
    held = storage.numel * ITEMSIZE[storage.dtype] // ITEMSIZE[dtype]
    if numel and last >= held:
        raise Refused(f"a tensor of shape {list(shape)} reaches beyond its storage of {held} elements")
    if numel > held:
        raise Refused(
            f"a tensor of shape {list(shape)} repeats the {held} elements of its storage (an expanded view)",
            "save `tensor.contiguous()`",
        )
    return StoredTensor(storage, dtype, offset, tuple(shape), tuple(stride))


def _parameter(tensor: object, *_: object) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise TypeError("a parameter without tensor")
    return tensor


def _tensor_with_attributes(function: object, kind: object, arguments: object, state: object) -> object:
    if not isinstance(function, Global) or not function.name.startswith("torch._utils."):
        raise TypeError("a tensor made by something else")
    return call(function, arguments)


def _dict(items: object = None) -> object:
    """An OrderedDict or Counter: empty, of a dict, or (Python 2) of a list of pairs, which is used up by it."""
    if not isinstance(items, list):
        return {} if items is None else items
    result: dict = {}
    fill(result, [part for key, value in items for part in (key, value)])
    items.clear()
    return result


def _as_it_is(value: object, *_: object) -> object:
    return value


def _dtype(name: object, *_: object) -> StoredDtype:
    if not isinstance(name, str) or len(name) > 32:
        raise TypeError("a NumPy type without a name")
    return StoredDtype(name)


def _array(kind: object, shape: object, code: object) -> StoredArray:
    if kind != Global("numpy.ndarray"):
        raise TypeError("an array of a class of its own")
    return StoredArray()  # the rest follows


# The closed table: what REDUCE may name, and what stands for it here. Nothing here copies or walks its argument: a
# pickle can name one large value a million times.
_CALLS: dict[str, Callable[..., object]] = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor_v3": _tensor_of_dtype,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
    "torch._tensor._rebuild_from_type_v2": _tensor_with_attributes,
    "torch.Size": _as_it_is,
    "torch.device": _as_it_is,
    "collections.OrderedDict": _dict,
    "collections.Counter": _dict,
    "builtins.set": _as_it_is,
    "__builtin__.set": _as_it_is,
    "_codecs.encode": _as_it_is,  # how old protocols spell bytes
    "numpy.dtype": _dtype,
    "numpy.core.multiarray._reconstruct": _array,
    "numpy._core.multiarray._reconstruct": _array,  # the name since NumPy 2
    "numpy.core.multiarray.scalar": scalar,
    "numpy._core.multiarray.scalar": scalar,
}
