"""Hypothesis strategies for every record of the protocol, made from its type alone.

Every value they give passes the codec. `pools` replaces the strategy of a type by one that knows which values
mean something in a given state, so that random calls often go through.
"""

from collections.abc import Mapping
from enum import IntEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from chain.jsonable import get_fields
from chain.primitives.types import INTEGER_MAX

Pools = Mapping[Any, st.SearchStrategy[Any]]
LIST_LENGTH_MAX = 3
NO_POOLS: Pools = {}


def build_strategy(kind: Any, pools: Pools = NO_POOLS) -> st.SearchStrategy[Any]:
    """Values of a type as records declare it."""
    if kind in pools:
        return pools[kind]
    if get_origin(kind) is Annotated:
        inner, *metas = get_args(kind)
        return _build(inner, [meta for meta in metas if isinstance(meta, msgspec.Meta)], pools)
    return _build(kind, [], pools)


def _build(kind: Any, metas: list[msgspec.Meta], pools: Pools) -> st.SearchStrategy[Any]:
    def get_bound(name: str, default: int) -> int:
        found = [getattr(meta, name) for meta in metas if getattr(meta, name) is not None]
        return found[0] if found else default

    if get_origin(kind) in (Union, UnionType):
        return st.one_of(*(build_strategy(member, pools) for member in get_args(kind)))
    if get_origin(kind) is tuple:
        return _build_tuple(get_args(kind), get_bound("min_length", 0), get_bound("max_length", 99), pools)
    if kind is NoneType:
        return st.none()
    if kind is bool:
        return st.booleans()
    if kind is int:
        return st.integers(get_bound("ge", 0), get_bound("le", INTEGER_MAX))
    if kind is str:
        longest = min(get_bound("max_length", 20), 20)
        return st.text(st.characters(codec="utf-8"), min_size=get_bound("min_length", 0), max_size=longest)
    if kind is bytes:
        shortest = get_bound("min_length", 0)
        return st.binary(min_size=shortest, max_size=max(shortest, min(get_bound("max_length", 40), 40)))
    if issubclass(kind, IntEnum):
        return st.sampled_from(kind)
    return _build_record(kind, pools)


def _build_tuple(arguments: Any, shortest: int, longest: int, pools: Pools) -> st.SearchStrategy[Any]:
    if arguments[1:] != (...,):
        return st.tuples(*(build_strategy(argument, pools) for argument in arguments))
    items = build_strategy(arguments[0], pools)
    return st.lists(items, min_size=shortest, max_size=min(longest, LIST_LENGTH_MAX)).map(tuple)


def _build_record(kind: Any, pools: Pools) -> st.SearchStrategy[Any]:
    return st.builds(kind, **{name: build_strategy(field, pools) for name, field, _ in get_fields(kind)})
