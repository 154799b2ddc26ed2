"""Poolers: one vector for a sequence, that of a certain token, projected or as it is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .activation import ACTIVATIONS, Activation
from .base import Context, Pooler
from .linear import Linear
from .registry import BlockError, Count, Probability, Size, register


class TokenPooler(Pooler):
    """One token's vector; with `hidden_size` it is projected and activated."""

    def __init__(
        self,
        *,
        hidden_size: Size | None = None,
        output_size: Size | None = None,
        activation: Activation = "tanh",
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.dense = nn.Identity() if hidden_size is None else Linear(hidden_size, output_size or hidden_size)
        self.activation = ACTIVATIONS["identity" if hidden_size is None else activation]

    def forward(self, hidden: Tensor, context: Context) -> Tensor:
        index = self.choose(hidden, context)
        if isinstance(index, int):
            chosen = hidden[:, index]
        else:
            chosen = hidden[torch.arange(hidden.shape[0], device=hidden.device), index]
        return self.activation(self.dense(F.dropout(chosen, self.dropout, self.training)))

    def choose(self, hidden: Tensor, context: Context) -> Tensor | int:
        """Indices of the tokens, [B], or the same for all rows."""
        raise NotImplementedError


@register("first_token_pooler")
class FirstTokenPooler(TokenPooler):
    """The first token. Paper: Devlin et al. 2018, arXiv:1810.04805. *Shape:* [B, L, D] -> [B, output_size or D].

    Args:
        hidden_size: D, width of the input, for a projection; without it the vector stays as it is.
        output_size: width of the projection; hidden_size if absent.
        activation: function after the projection.
        dropout: probability of dropping a value of the token in training.
    """

    def choose(self, hidden: Tensor, context: Context) -> int:
        return 0


@register("last_token_pooler")
class LastTokenPooler(TokenPooler):
    """The last token, padding left out. *Shape:* [B, L, D] -> [B, output_size or D].

    Padding is found by `padding_id`, else by the attention mask [B, L]; without either the last position is taken.

    Args:
        hidden_size: D, width of the input, for a projection; without it the vector stays as it is.
        output_size: width of the projection; hidden_size if absent.
        activation: function after the projection.
        dropout: probability of dropping a value of the token in training.
        padding_id: token that fills up short rows.
        skip_padding: false takes the last position, whatever stands there: for models that are padded on the left.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "input_ids", "attention_mask"})

    def __init__(
        self,
        *,
        hidden_size: Size | None = None,
        output_size: Size | None = None,
        activation: Activation = "tanh",
        dropout: Probability = 0.0,
        padding_id: Count | None = None,
        skip_padding: bool = True,
    ) -> None:
        super().__init__(hidden_size=hidden_size, output_size=output_size, activation=activation, dropout=dropout)
        self.padding_id = padding_id
        self.skip_padding = skip_padding

    def choose(self, hidden: Tensor, context: Context) -> Tensor | int:
        """The rightmost real token, whichever side the padding is on."""
        mask = context.attention_mask
        if not self.skip_padding:
            return -1
        if context.input_ids is not None and self.padding_id is not None:
            real = context.input_ids != self.padding_id
        elif mask is not None and mask.dim() == 2:
            real = mask[:, -hidden.shape[1] :] != 0
        elif hidden.shape[0] > 1 and context.inputs_embeds is None:
            raise BlockError(
                "cannot tell the last token of each row: the model has no padding id and there is no attention_mask",
                "attention_mask",
                help="pass attention_mask, or build the model with pad_token_id=…",
            )
        else:
            return -1
        return (torch.arange(hidden.shape[1], device=hidden.device) * real).argmax(dim=-1)


@register("marked_token_pooler")
class MarkedTokenPooler(TokenPooler):
    """The last token that is `token_id`, such as the end of the text. Paper: Lewis et al. 2019, arXiv:1910.13461.
    *Shape:* [B, L, D] -> [B, output_size or D].

    Args:
        token_id: the token looked for; a row without it is represented by its last position.
        hidden_size: D, width of the input, for a projection; without it the vector stays as it is.
        output_size: width of the projection; hidden_size if absent.
        activation: function after the projection.
        dropout: probability of dropping a value of the token in training.
    """

    reads: ClassVar = frozenset({"last_hidden_state", "input_ids"})

    def __init__(
        self,
        *,
        token_id: Count,
        hidden_size: Size | None = None,
        output_size: Size | None = None,
        activation: Activation = "tanh",
        dropout: Probability = 0.0,
    ) -> None:
        super().__init__(hidden_size=hidden_size, output_size=output_size, activation=activation, dropout=dropout)
        self.token_id = token_id

    def choose(self, hidden: Tensor, context: Context) -> Tensor:
        ids = context.encoder_input_ids if context.encoder_input_ids is not None else context.input_ids
        if ids is None:
            raise BlockError(
                f"token {self.token_id} is looked for in the ids, and there are only vectors", "inputs_embeds",
                help="pass input_ids",
            )  # fmt: skip
        if ids.shape[1] != hidden.shape[1]:
            raise BlockError(
                f"token {self.token_id} is looked for in {ids.shape[1]} ids, and there are {hidden.shape[1]} states",
                "decoder_input_ids", help="let the decoder read the same text: leave its inputs out",
            )  # fmt: skip
        steps = torch.arange(1, ids.shape[1] + 1, device=ids.device)
        return (steps * (ids == self.token_id)).max(dim=-1).values - 1
