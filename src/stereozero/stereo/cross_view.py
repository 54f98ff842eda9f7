"""Cross-view attention (paper, Eq. 9): the target view attends with the source view's queries.

The source's features do not depend on the target, so its queries are recorded from one evaluation of the source alone
and replayed in as many evaluations of the target alone as are needed. The result is that of evaluating both views
together, as the released code does, at fewer network evaluations. Where the queries take too much memory, both views
are evaluated together.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

CALLS_PER_UNIT = 128
"""Attention calls that the window counts as one: an evaluation of the official networks with guidance."""


class ExchangeableAttention(Protocol):
    """An attention module whose arithmetic can be exchanged; see ``backbones.dynamicrafter.attention``.

    Attributes:
        processor: called with the module and its projections, of which ``query`` is (N, L, D), clip-major.
        attends_to_context: True where keys and values come from text or image tokens.
    """

    processor: Callable
    attends_to_context: bool


class AttentionWindow(NamedTuple):
    """When cross-view attention is on: while start <= (calls so far) // 128 < end; None is always.

    Calls are those of all edited modules, counted over the whole procedure (reference behaviour; the last call of an
    evaluation of the official networks therefore belongs to the next unit).
    """

    start: int
    end: int

    def is_open(self, call: int) -> bool:
        """Tell for a call's number, counted from 1."""
        return self.start <= call // CALLS_PER_UNIT < self.end


@dataclass(frozen=True)
class Activity:
    """In which calls of one evaluation the queries are exchanged.

    Attributes:
        calls: for each branch of guidance, the modules' names in which they are.
    """

    calls: tuple[frozenset[str], ...]

    def __bool__(self) -> bool:
        return any(self.calls)


@dataclass(eq=False)
class Queries:
    """The source's queries of one evaluation.

    Attributes:
        by_module: module name -> one tensor (N, L, D) a branch of guidance.
        limit: largest memory that they may take [bytes].
        overflowed: True if they would have taken more; then nothing is kept.
    """

    limit: float = math.inf
    by_module: dict[str, list[Tensor]] = field(default_factory=dict)
    bytes: int = 0
    overflowed: bool = False

    def add(self, name: str, query: Tensor) -> None:
        """Keep a module's queries of the next branch."""
        self.bytes += query.numel() * query.element_size()
        if self.bytes > self.limit:
            self.overflowed = True
            self.by_module.clear()
        if not self.overflowed:
            self.by_module.setdefault(name, []).append(query)


Edit = Callable[[str, int, Tensor], Tensor]
"""(module name, branch of guidance, query (N, L, D)) -> query (N, L, D)."""


class CrossViewAttention:
    """Exchanges queries in a network's attention modules.

    Args:
        modules: name -> attention that may be edited, in execution order.
        kind: "off", "self" (all but attention to the conditions, as the paper has it) or "all" (released code).
        window: when it is on; None is always.
        branches: of guidance; see :func:`~stereozero.diffusion.guidance.branch_count`.
        one_batch: all branches are evaluated in one call of the network, one behind the other in the batch.
    """

    def __init__(
        self,
        modules: Mapping[str, ExchangeableAttention],
        kind: str,
        window: AttentionWindow | None,
        branches: int,
        one_batch: bool,
    ):
        self._modules = {
            name: module
            for name, module in modules.items()
            if kind == "all" or (kind == "self" and not module.attends_to_context)
        }
        self._window = window
        self._branches = branches
        self._branches_per_call = branches if one_batch else 1

    def activity(self, evaluation: int) -> Activity:
        """Return in which calls of an evaluation, counted from 0 over the whole procedure, queries are exchanged."""
        names = list(self._modules)
        if self._window is None:
            return Activity((frozenset(names),) * self._branches)
        open_calls = []
        for branch in range(self._branches):
            first = (evaluation * self._branches + branch) * len(names) + 1
            open_calls.append(frozenset(name for call, name in enumerate(names, first) if self._window.is_open(call)))
        return Activity(tuple(open_calls))

    @contextmanager
    def recording(self, limit: float = math.inf) -> Iterator[Queries]:
        """Have one evaluation of the source alone leave its queries in what is yielded, unless they pass a limit."""
        queries = Queries(limit)

        def record(name: str, branch: int, query: Tensor) -> Tensor:
            queries.add(name, query)
            return query

        with self._editing(record):
            yield queries

    @contextmanager
    def replaying(self, queries: Queries, activity: Activity) -> Iterator[None]:
        """Have one evaluation of the target alone use the recorded queries."""

        def replay(name: str, branch: int, query: Tensor) -> Tensor:
            return queries.by_module[name][branch] if name in activity.calls[branch] else query

        with self._editing(replay):
            yield

    @contextmanager
    def joining(self, activity: Activity) -> Iterator[None]:
        """Have one evaluation of source and target, in this order in each branch, share the source's queries."""

        def share(name: str, branch: int, query: Tensor) -> Tensor:
            if name not in activity.calls[branch]:
                return query
            source, _ = query.chunk(2)  # (N / 2, L, D)
            return torch.cat([source, source])

        with self._editing(share):
            yield

    @contextmanager
    def _editing(self, edit: Edit) -> Iterator[None]:
        kept = {name: module.processor for name, module in self._modules.items()}
        for name, module in self._modules.items():
            module.processor = _Editor(name, kept[name], edit, self._branches_per_call)
        try:
            yield
        finally:
            for name, module in self._modules.items():
                module.processor = kept[name]


class _Editor:
    """A processor that changes the queries during one evaluation, and leaves the rest to the one that was there."""

    def __init__(self, name: str, inner: Callable, edit: Edit, branches_per_call: int):
        self._name, self._inner, self._edit, self._per_call = name, inner, edit, branches_per_call
        self._branch = 0  # the first one of the next call

    def __call__(self, attention: ExchangeableAttention, projections: Any) -> Tensor:
        parts = projections.query.chunk(self._per_call)  # (N / branches, L, D) each
        edited = [self._edit(self._name, branch, part) for branch, part in enumerate(parts, self._branch)]
        self._branch += self._per_call
        query = torch.cat(edited)  # (N, L, D)
        return self._inner(attention, projections._replace(query=query))
