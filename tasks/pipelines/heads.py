"""Which heads a checkpoint really has: a task is refused rather than run on parameters that start untrained."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ...assembler.build import build
from ...assembler.language.spec import load_spec
from ...assembler.model import Model
from ...assembler.weights.checkpoint import Weights, open_checkpoint, spec_of
from ...assembler.weights.mapping import find_sources
from ...assembler.weights.names import OWN_FORMAT
from ...errors import Diagnostic, ModelwrightError, UsageError, WeightsError
from .catalogue import TASKS, Task, task_of

BODY = "body"  # what `architectures:` calls a model without heads


class Checkpoint:
    """A checkpoint's heads, told from names and shapes; nothing is read.

    `declared` are the heads that its config names as its class. `options` are those of `build`.
    """

    def __init__(self, weights: Weights, options: Mapping[str, Any]) -> None:
        self.name = "the state dict" if isinstance(weights, Mapping) else str(weights)
        self._weights, self._options = weights, options
        opened = open_checkpoint(weights, cache_dir=options.get("cache_dir"), revision=options.get("revision"))
        opened.store.close()
        self.spec = load_spec(options.get("spec") or spec_of(opened))
        self._stored: dict[str | None, frozenset[str] | None] = {}
        named = (opened.config or {}).get("architectures")
        heads = {
            head for rules in self.spec.sections["configs"].values()
            for head, name in (rules.get("architectures") or {}).items()
            if isinstance(named, list) and name in named and head != BODY
        }  # fmt: skip
        parts = (part for head in sorted(heads) for part in self.spec.sections["heads"][head].get("combine", ()))
        self.declared = list(dict.fromkeys((*sorted(heads), *parts)))

    def has(self, head: str | None) -> bool:
        """Whether every parameter of the head is there, and is not that of another head, the declared one."""
        own = self._own(head)
        if own is None:
            return False
        return head in self.declared or not any(own & (self._own(other) or set()) for other in self.declared)

    def usable(self) -> list[str | None]:
        """The heads that it has, the body (None) among them."""
        every = (*self.declared, *(name for name, node in self.spec.sections["heads"].items() if node), None)
        return [head for head in dict.fromkeys(every) if self.has(head)]

    def _own(self, head: str | None) -> frozenset[str] | None:
        """Under which names the head's own parameters are stored; None if some are not there."""
        if head not in self._stored:
            self._stored[head] = self._names(head)
        return self._stored[head]

    def _names(self, head: str | None) -> frozenset[str] | None:
        if head is not None and head not in self.spec.sections["heads"]:
            return None
        try:
            model = self._attempt(head)
        except ModelwrightError:
            return None
        if untrained(model):
            return None
        format = model.load_report.format
        if format == OWN_FORMAT:  # in which no two parameters share a name
            return frozenset()
        section = model.spec.interpolated(model.config.to_dict())["weights"][format]
        sources = find_sources(model, section, format)
        return frozenset(source.stored for source in sources if source.targets[0].startswith("heads."))

    def _attempt(self, head: str | None) -> Model:
        return build(
            weights=self._weights, head=head, dry_run=True, allow_missing=True, allow_unexpected=True, **self._options
        )


def untrained(model: Model) -> list[str]:
    """Parameters that no checkpoint filled, as far as an output depends on them: the pooled vector of a body without
    heads is nobody's business here."""
    if model.load_report is None:
        return []
    idle = [] if model.runs else [f"{name}." for name in model.part_names if _pools(model, name)]
    names = [*model.load_report.fresh, *model.load_report.missing]
    return [name for name in names if not name.startswith(tuple(idle))]


def _pools(model: Model, part: str) -> bool:
    return getattr(model, part).output == "pooler_output"


def choose_head(task: Task, weights: Weights, options: Mapping[str, Any]) -> str | None:
    """The head of a checkpoint that does the task. WeightsError if it has none."""
    checkpoint = Checkpoint(weights, options)
    for head in task.heads:
        if checkpoint.has(head):
            return head
    raise _refusal(task, checkpoint)


def choose_task(weights: Weights, options: Mapping[str, Any]) -> str:
    """The task that a checkpoint's own head is for. UsageError if several are, or none."""
    checkpoint = Checkpoint(weights, options)
    heads = [head for head in checkpoint.declared if checkpoint.has(head)] or checkpoint.usable()
    heads = [head for head in heads if head is not None] or heads
    tasks = list(dict.fromkeys(task for head in heads if (task := task_of(head))))
    if len(tasks) == 1:
        return tasks[0]
    reason = f"could do {', '.join(tasks)}" if tasks else "has no head for any task"
    raise UsageError(f"{checkpoint.name} does not tell what it is for: it {reason}", help="name the task")


def check_built(task: Task, model: Model, head: str | None, allow_untrained: bool) -> None:
    """UsageError if a built model does not do the task, or has parameters that start untrained."""
    names = [run.name for run in model.runs]
    if model.separate:
        raise UsageError(
            f"the model was built with several heads ({', '.join(names)}), and a pipeline runs one",
            help=f'build it with head="{task.heads[0]}"',
        )
    fitting = [head] if head is not None else [*task.heads]
    if not (set(names) & set(fitting) or (not names and None in fitting)):
        does = _tasks(names or [None])
        raise UsageError(
            f"{task.name} needs the head {_choice(task.heads)}, and the model was built with "
            + (", ".join(names) or "none"),
            help=f"build it with head=…; as it is, it does {does}" if does else "build it with head=…",
        )
    waiting = untrained(model)
    if waiting and not allow_untrained:
        owners = dict.fromkeys(".".join(name.split(".")[: 1 + name.startswith("heads.")]) for name in waiting)
        raise UsageError(
            f"{len(waiting)} parameters come from no checkpoint ({', '.join(owners)}), so the results would be noise",
            help="train it, save it and load that; or, if that has been done, allow_untrained=True",
        )


def _refusal(task: Task, checkpoint: Checkpoint) -> WeightsError:
    usable = checkpoint.usable()
    known = [head for head in task.heads if head is None or head in checkpoint.spec.sections["heads"]]
    message = (
        f"{task.name} needs the head {_choice(known)}, which is not in {checkpoint.name}" if known
        else f"{checkpoint.spec.name} has no head for {task.name}"
    )  # fmt: skip
    heads = ", ".join(head for head in usable if head) or "none"
    return WeightsError(Diagnostic(message, help=f"its heads: {heads}; it can do {_tasks(usable) or 'nothing'}"))


def _choice(heads: Iterable[str | None]) -> str:
    return " or ".join(f"`{head}`" if head else "None (the body alone)" for head in heads)


def _tasks(heads: Iterable[str | None]) -> str:
    """What can be done with these heads."""
    heads = set(heads)
    return ", ".join(task.name for task in TASKS.values() if heads & set(task.heads))
