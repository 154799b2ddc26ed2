"""Attention in chunks and by hashing, against attention to everything; positions in a grid."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import modelwright as mw
from modelwright.blocks import BlockError, Context
from modelwright.blocks.attention import Attention
from modelwright.blocks.axial_positions import AxialPositionLookup
from modelwright.blocks.chunks import ChunkPadding, CutPadding
from modelwright.blocks.local_attention import LocalAttention
from modelwright.blocks.lsh_attention import LSHAttention

WIDTH, LENGTH = 16, 24
SIZES = {"hidden_size": WIDTH, "num_heads": 2}


def hidden(length: int = LENGTH) -> Tensor:
    return torch.randn(2, length, WIDTH, generator=torch.Generator().manual_seed(1))


def mask() -> Tensor:
    given = torch.ones(2, LENGTH, dtype=torch.long)
    given[1, 19:] = 0
    return given


def alike(one: torch.nn.Module, other: torch.nn.Module) -> None:
    """Both get the same weights."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.normal_(0, 0.3, generator=generator)
    other.load_state_dict(one.state_dict())


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("around", [(12, 1, 0), (12, 0, 1), (8, 1, 1)])
def test_hashing_is_full_attention_where_each_chunk_sees_all(
    around: tuple[int, int, int], masked: bool, causal: bool
) -> None:
    """Whatever the order that hashing brings the positions into."""
    full = LSHAttention(**SIZES, chunk_length=LENGTH, causal=causal)
    length, before, after = around
    chunked = LSHAttention(**SIZES, chunk_length=length, chunks_before=before, chunks_after=after, num_buckets=6,
                           hash_seed=0, causal=causal)  # fmt: skip
    alike(full, chunked)
    given = mask() if masked else None
    found, expected = (one(hidden(), Context(attention_mask=given)) for one in (chunked, full))
    rows = given.bool() if masked else ...
    torch.testing.assert_close(found[rows], expected[rows], rtol=0, atol=1e-5)


def test_more_rounds_of_hashing_come_closer_to_full_attention() -> None:
    full = LSHAttention(**SIZES, chunk_length=96)
    given = hidden(96)

    def distance(rounds: int) -> float:
        total = 0.0
        for seed in range(4):
            hashed = LSHAttention(**SIZES, chunk_length=8, num_hashes=rounds, num_buckets=12, hash_seed=seed)
            alike(full, hashed)
            total += (hashed(given, Context()) - full(given, Context())).norm().item()
        return total

    with torch.no_grad():
        distances = [distance(rounds) for rounds in (1, 2, 4, 8, 16)]
    assert all(later < 0.95 * earlier for earlier, later in zip(distances, distances[1:], strict=False)), distances
    assert distances[-1] < distances[0] / 2


def test_a_position_sees_itself_only_where_there_is_nothing_else() -> None:
    attention = LSHAttention(**SIZES, chunk_length=LENGTH, causal=True)
    context = Context(output_attentions=True)
    attention(hidden(), context)
    (weights,) = context.collected["attentions"]
    own = weights.diagonal(dim1=-2, dim2=-1)
    assert (own[..., 0] == 1).all() and (own[..., 1:] == 0).all()


@pytest.mark.parametrize("causal", [False, True])
def test_local_attention_is_full_attention_where_each_chunk_sees_all(causal: bool) -> None:
    full, local = Attention(**SIZES, causal=causal), LocalAttention(**SIZES, chunk_length=12, causal=causal)
    alike(full, local)
    found, expected = (one(hidden(), Context(attention_mask=mask())) for one in (local, full))
    torch.testing.assert_close(found[mask().bool()], expected[mask().bool()], rtol=0, atol=1e-5)
    whole = LocalAttention(**SIZES, chunk_length=LENGTH, causal=causal)
    alike(full, whole)
    torch.testing.assert_close(whole(hidden(), Context()), full(hidden(), Context()), rtol=0, atol=1e-5)


def test_seeded_hashing_is_that_of_the_global_seed_and_leaves_it_alone() -> None:
    attention = LSHAttention(**SIZES, chunk_length=4, num_buckets=[2, 4], num_hashes=2, hash_seed=9)
    state = torch.get_rng_state()
    first, second = (attention(hidden(), Context()) for _ in range(2))
    assert torch.equal(first, second) and torch.equal(state, torch.get_rng_state())
    attention.hash_seed = None
    torch.manual_seed(9)
    assert torch.equal(attention(hidden(), Context()), first)
    assert not torch.equal(attention(hidden(), Context()), first)


@pytest.mark.parametrize(("length", "factors"), [(8, [4]), (31, [8]), (1024, [16, 32])])
def test_buckets_are_computed_from_the_length(length: int, factors: list[int]) -> None:
    assert LSHAttention(**SIZES, chunk_length=4, max_length=4096)._computed_factors(length) == factors


class Largest(TorchDispatchMode):
    """Values of the largest tensor that any operation makes."""

    values = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves(result):
            self.values = max(self.values, tensor.numel() if isinstance(tensor, Tensor) else 0)
        return result


@pytest.mark.parametrize("block", [LocalAttention, LSHAttention])
def test_memory_grows_with_the_length_not_its_square(block: type) -> None:
    attention = block(**SIZES, chunk_length=4, **({"num_buckets": 8} if block is LSHAttention else {}))

    def largest(length: int) -> int:
        with Largest() as mode, torch.no_grad():
            attention(hidden(length), Context(attention_mask=torch.ones(2, length)))
        return mode.values

    assert largest(512) == 4 * largest(128)


def test_padding_is_filled_up_and_cut_off() -> None:
    part, cut = ChunkPadding(lengths={"a": 4, "b": 6, "c": 5}, kinds=["a", "b", "a"], padding_id=7).eval(), CutPadding()
    ids = torch.ones(2, 13, dtype=torch.long)
    context = Context(input_ids=ids)
    part(None, context)
    assert context.input_ids.shape == (2, 24) and (context.input_ids[:, 13:] == 7).all()
    assert context.attention_mask.sum(dim=1).tolist() == [13, 13]
    assert cut(hidden(), context).shape == (2, 13, WIDTH) and torch.equal(context.input_ids, ids)
    for fitting in (3, 4, 12):
        context = Context(input_ids=ids[:, :fitting])
        part(None, context)
        assert context.attention_mask is None and context.input_ids.shape == (2, fitting)
    with pytest.raises(BlockError, match="13 tokens are no whole number of chunks") as error:
        part.train()(None, Context(input_ids=ids))
    assert "24 tokens" in error.value.help


def test_a_grid_of_positions_is_filled_row_by_row() -> None:
    lookup = AxialPositionLookup(shape=[2, 3], widths=[1, 2], width=3).eval()
    found = lookup(Context(input_ids=torch.zeros(1, 5, dtype=torch.long)))[0]
    expected = [torch.cat([lookup.row.weight[p // 3], lookup.column.weight[p % 3]]) for p in range(5)]
    assert torch.equal(found, torch.stack(expected))
    lookup.dropout, ids = 0.5, torch.zeros(64, 6, dtype=torch.long)
    kept = (lookup.train()(Context(input_ids=ids)) != 0).view(64, 2, 3, 3)
    assert kept.any() and not kept.all() and (kept == kept[:, :1, :, :1]).all()  # whole columns


TINY = {"vocab_size": 30, "hidden_size": 16, "axial_pos_shape": [4, 4], "axial_pos_embds_dim": [4, 12],
        "local_chunk_length": 2, "lsh_chunk_length": 4, "num_buckets": 4}  # fmt: skip


@pytest.mark.parametrize(
    ("length", "train", "message"),
    [
        (15, True, "15 tokens are no whole number"),
        (12, True, "training needs them all"),
        (17, False, "20 tokens .17 and what fills up"),
    ],
)
def test_lengths_that_do_not_fit(length: int, train: bool, message: str) -> None:
    model = mw.build("reformer", **TINY).train(train)
    with pytest.raises(mw.UsageError, match=message):
        model(torch.ones(1, length, dtype=torch.long))


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_buckets": 5}, "5 buckets are no pairs"),
        ({"axial_pos_embds_dim": [4, 4]}, "vectors of 4 \\+ 4 values, where 16 are wanted"),
        ({"axial_pos_shape": [4, 4, 4]}, "here are 3 numbers"),
        ({"attn_layers": ["local", "lhs"]}, "says nothing for layers of kind `lhs`"),
    ],
)
def test_numbers_that_do_not_fit(numbers: dict[str, object], message: str) -> None:
    with pytest.raises(mw.SpecError, match=message):
        mw.build("reformer", **(TINY | numbers))


def test_masks_of_pairs_and_caches_are_refused() -> None:
    model = mw.build("reformer", **TINY)
    ids = torch.ones(1, 8, dtype=torch.long)
    with pytest.raises(mw.UsageError, match="attention_mask has 3 dimensions"):
        model(ids, attention_mask=torch.ones(1, 8, 8))
    with pytest.raises(mw.UsageError, match="no key/value cache"):
        model(ids, use_cache=True)
