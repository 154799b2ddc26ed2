"""What the top-level sections of a spec may hold. Blocks are judged elsewhere, by the signatures of their classes."""

from __future__ import annotations

import types
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Discriminator, Field, StringConstraints, Tag, ValidationError

from ...errors import Diagnostic, Place, did_you_mean
from .compose import Composition
from .documents import Path, shown
from .unknown import unknown_names

_TAGS = {str: "<a string>", dict: "<a mapping>", list: "<a list>"}
_EXPECTED = {
    "string_type": "a string", "bool_type": "true or false", "dict_type": "a mapping", "list_type": "a list",
    "model_type": "a mapping", "model_attributes_type": "a mapping",
}  # fmt: skip


def _tag(value: Any) -> str:
    return next((tag for kind, tag in _TAGS.items() if isinstance(value, kind)), "<another>")


_BY_TYPE = Discriminator(_tag)
_Text = Annotated[str, Tag(_TAGS[str])]
_Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*$")]
_Texts = Annotated[_Text | Annotated[list[str], Tag(_TAGS[list])], _BY_TYPE]
_Ignored = Annotated[
    Annotated[list[str], Tag(_TAGS[list])] | Annotated[dict[str, str], Tag(_TAGS[dict])], _BY_TYPE
]  # fmt: skip


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=True)


class About(_Section):
    """Whose model it is."""

    title: str | None = None
    paper: _Texts | None = None
    code: _Texts | None = None
    license: str | None = None
    """Of the published weights and code."""
    reference: _Texts | None = None
    """The implementation that the tests compare it with, and its version."""
    note: str | None = None


class ConfigKey(_Section):
    """Where a config file says an hparam, if not simply under one key."""

    key: str | None = None
    values: dict[str, Any] | None = None
    """Their value -> ours, where they are spelt differently. Others are refused."""
    nullable: bool = False
    """Whether null is a value; otherwise it counts as absent."""
    written: bool = True
    """False for a key that is read and never written."""
    length_of: str | None = None
    """The hparam is the number of items under this key."""
    without: str | None = None
    """Not where the config has this key: for what a word meant before there was one. Read, never written."""
    repeat_to: str | None = None
    """The hparam that says how many items are written: a shorter list begins again, a longer one is cut."""


_OneWay = Annotated[_Text | Annotated[ConfigKey, Tag(_TAGS[dict])], _BY_TYPE]
_Read = Annotated[
    _Text | Annotated[ConfigKey, Tag(_TAGS[dict])] | Annotated[list[_OneWay], Tag(_TAGS[list])], _BY_TYPE
]  # fmt: skip


class ConfigFormat(_Section):
    """One kind of config file, and how it and our hparams are each other's."""

    file: _Texts | None = None
    """Its name; of several names the first is written."""
    inside: _Texts | None = None
    """Where it is kept in the file of the weights: `args`, `cfg.model`. Of several places the first that is there."""
    record: Literal["dict", "namespace"] = "dict"
    """What it is there, for those who read it with Python."""
    like: str | None = None
    """Another format, which holds for whatever is not said here; what is read is completed one by one."""
    always: dict[str, Any] = {}
    """Hparams that every checkpoint of the format has, and none says."""
    untold: dict[str, str] = {}
    """Hparams that no checkpoint of the format says, which the caller has to, and what they are."""
    match: dict[str, Any] = {}
    """Keys by whose values a config is known to be for this spec."""
    read: dict[str, _Read] = {}
    """Our name -> their key. Of several alternatives the first that is there counts."""
    keep: list[str] = []
    """Keys that mean nothing to the network and are written again as they were read."""
    generation: list[str] = []
    """Keys that are defaults of generation, where no file of its own says them."""
    write: dict[str, Any] = {}
    """Constants that are written besides."""
    expect: dict[str, Any] = {}
    """Keys that must be absent or have this value: the spec can build nothing else."""
    ignore: _Ignored = {}
    """Keys that do not change the network, best with the reason why."""
    architectures: dict[str, str] = {}
    """Head, or `body` -> what the config names the class."""


class StoredUnder(_Section):
    """A stored name that does not always hold."""

    from_: str = Field(alias="from")
    when: Annotated[_Text | Annotated[bool, Tag("<another>")], _BY_TYPE] | None = None
    kind: str | None = None
    """Of layers: it holds for those of this kind only."""
    if_stored: bool = False
    """It holds for files that have this tensor. Read, never written."""
    absent: Literal["zeros", "identity"] | None = None
    """What the parameter is in files without this tensor; then it is not written either."""


_OneSource = Annotated[_Text | Annotated[StoredUnder, Tag(_TAGS[dict])], _BY_TYPE]
_Sources = Annotated[
    _Text | Annotated[StoredUnder, Tag(_TAGS[dict])] | Annotated[list[_OneSource], Tag(_TAGS[list])], _BY_TYPE
]  # fmt: skip


_Number = Annotated[_Text | Annotated[int, Tag("<another>")], _BY_TYPE]


class AppendedToken(_Section):
    """A token that stands behind the text in each step, where the next word is predicted from."""

    token: _Number
    """Its id."""
    queried: bool = False
    """Whether it is hidden from all positions, and a query stream predicts what is there."""


class Generation(_Section):
    """How text is generated."""

    heads: list[str] = []
    """Those whose logits score the next word."""
    requires: dict[str, Any] = {}
    """Hparam -> the value that it has in a model that writes."""
    state: Literal["cache", "memory", "none"] = "none"
    """What is carried from step to step: keys and values, `mems`, or nothing: the whole text runs again."""
    padding: Literal["positions", "mask", "apart"] = "apart"
    """Padding on the left: the mask hides it and positions count from the first word; the mask alone does; or rows of
    different lengths are run apart."""
    append: AppendedToken | None = None
    fill: dict[str, _Number] = {}
    """Input -> what all its positions get."""
    defaults: dict[str, Any] = {}
    """Option -> its value, where neither the caller nor a file says one."""


class WeightsFormat(_Section):
    """One kind of checkpoint, and how its tensors and our parameters are each other's."""

    store: list[str] = []
    """Kinds of files it comes in, the best first."""
    like: str | None = None
    """Another format, which holds for whatever is not said here; its rules one by one."""
    spelling: Literal["slashes"] | None = None
    """How its names are spelt, those that it has from another format too: `slashes` makes `layer.3.output` of a rule
    `layer_._3/output`."""
    join: dict[str, str] = {}
    """Stored name, with `{i}` or `*` -> of a checkpoint in several files, along which dimension its parts are put
    together: a number, or an expression as in `shapes`, of the shapes of one part. What is not named is the same in
    all."""
    leaves: dict[str, dict[str, str]] = {}
    """Block -> parameter -> what follows the rule's name, with operations."""
    prefix: list[str] = []
    """What may stand before every name; decided once a file."""
    head_prefix: dict[str, str] = {}
    """Head -> the prefix of its files, where it is not the first."""
    accept: dict[str, str] = {}
    """Old endings of names -> the present ones. Read, never written."""
    file: str | None = None
    """What a file of it is called that we write."""
    vocabulary: str | None = None
    """A file of that set of `tokenizer.files` which lies beside such weights; by default of the first set."""
    shapes: dict[str, _Texts] = {}
    """Hparam -> where the shapes of the stored tensors tell it."""
    rules: dict[str, _Sources] = {}
    """Our name -> the stored one. Of several alternatives the first whose `when` holds counts."""
    duplicates: dict[str, str] = {}
    """Stored again under this name -> the stored name it equals."""
    ignore: _Ignored = {}
    """Stored tensors that are no parameters, best with the reason why."""


class Release(_Section):
    """Where one release of a checkpoint is, and what it does not say itself."""

    at: str
    """Hub id; or the address of an archive, a file, a folder, or the prefix of a TensorFlow checkpoint."""
    files: list[str] = []
    """What belongs to it: names below the address (beside it, if it is a file), or whole addresses. One that may be
    missing ends in `?`. Of a TensorFlow checkpoint its index or the note `checkpoint` is enough. Of a hub id they are
    names in the repository, the weights (one file) last."""
    hparams: dict[_Name, Any] = {}
    """What it does not store. Config files beat them, and they beat the spec's own values."""
    tokenizer: dict[str, Any] = {}
    """Options of its tokenizer that its files do not say."""
    sha256: dict[str, Annotated[str, StringConstraints(pattern=r"^[0-9A-Fa-f]{64}$")]] = {}
    """Of some of its files, by name."""


_Place = Annotated[_Text | Annotated[Release, Tag(_TAGS[dict])], _BY_TYPE]


class Tasks(_Section):
    """What pipelines must know of a model beyond its heads."""

    prompts: dict[str, str] = {}
    """Task -> what is put in front of the text. `{source}` and `{target}` are languages of a translation."""
    languages: dict[str, str] = {}
    """Code -> the name that the model knows the language by."""
    padding: bool = True
    """Whether rows of a batch may be filled up, and come out as they would alone."""


class SpecModel(_Section):
    """A spec."""

    spec: str | None = None
    """Its name; by default the file's."""
    extends: str | None = None
    """Name or path of a spec that this one changes. Mappings merge, another `block` replaces, null deletes."""
    about: About = About()
    hparams: dict[_Name, Any] = {}
    """Hyper-parameters, in the vocabulary all specs share. `${name}` stands for one anywhere."""
    configs: dict[str, ConfigFormat] = {}
    """Format -> how its config file is read and written."""
    model: dict[str, dict[str, Any] | None] = {}
    """The parts of the body, in the order they run."""
    heads: dict[str, dict[str, Any] | None] = {}
    """What can stand on the body."""
    tokenizer: dict[str, Any] = {}
    """How text becomes ids."""
    generation: Generation = Generation()
    tasks: Tasks = Tasks()
    """What pipelines must know of it."""
    weights: dict[str, WeightsFormat] = {}
    """Format -> how its tensors are read and written."""
    pretrained: dict[str, dict[str, _Place]] = {}
    """Name of a checkpoint -> format -> where it is: hub id or address, or a mapping that says more; and `about`."""


def check_sections(composition: Composition) -> list[Diagnostic]:
    """Everything in the merged spec that its sections cannot hold, located."""
    problems = []
    try:
        # a section that the specs leave empty is none
        SpecModel.model_validate({key: value for key, value in composition.tree.items() if value is not None})
    except ValidationError as error:
        problems = [_diagnostic(detail, composition) for detail in error.errors(include_url=False)]
    problems += unknown_names(composition)
    places = [problem.place or Place("") for problem in problems]
    order = sorted(range(len(problems)), key=lambda i: (places[i].source, places[i].line or 0, places[i].column or 0))
    return [problems[i] for i in order]


def _diagnostic(error: Any, composition: Composition) -> Diagnostic:
    of_key = error["loc"][-1:] == ("[key]",)
    path: Path = tuple(part for part in error["loc"] if part != "[key]" and not str(part).startswith("<"))
    here = f"`{'.'.join(map(str, path))}`"
    around = f"`{'.'.join(map(str, path[:-1]))}`" if path[1:] else "the spec"
    kind = error["type"]
    if kind == "extra_forbidden":
        label = did_you_mean(str(path[-1]), _fields_at(SpecModel, error["loc"][:-1]))
        return Diagnostic(f"unknown key `{path[-1]}` in {around}", composition.key_place(path), label)
    if kind == "missing":
        return Diagnostic(f"{around} lacks `{path[-1]}`", composition.key_place(path[:-1]))
    if of_key:
        return Diagnostic(f"`{path[-1]}` cannot be a name in {around}", composition.key_place(path),
                          help="a name is made of letters, digits and _")  # fmt: skip
    if kind.startswith("union_tag"):
        tags = [part.strip("'<> ") for part in error["ctx"]["expected_tags"].split(",")]
        expected = " or ".join("true or false" if tag == "another" else tag for tag in tags)
    else:
        expected = _EXPECTED.get(kind, error["msg"])
    found = {dict: "a mapping", list: "a list"}.get(type(error["input"]), f"`{shown(error['input'])}`")
    return Diagnostic(f"{here} must be {expected}, but is {found}", composition.place(path))


def _fields_at(annotation: Any, location: tuple[str | int, ...]) -> list[str]:
    """Keys of the model that pydantic was in at `location`."""
    if get_origin(annotation) is Annotated:
        return _fields_at(get_args(annotation)[0], location)
    if get_origin(annotation) in (Union, types.UnionType):
        options = [option for option in get_args(annotation) if option is not type(None)]
        if location and str(location[0]).startswith("<"):
            options = [option for option in options if Tag(str(location[0])) in get_args(option)]
            location = location[1:]
        return [name for option in options for name in _fields_at(option, location)]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = {field.alias or name: field for name, field in annotation.model_fields.items()}
        if not location:
            return list(fields)
        field = fields[str(location[0])]
        return _fields_at(field.annotation, location[1:])
    return _fields_at(get_args(annotation)[-1], location[1:]) if get_args(annotation) and location else []
