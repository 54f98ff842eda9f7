"""Text for CLIP: open_clip's tokens, for a model that has embeddings of all of them or of a few."""

from collections.abc import Sequence

import torch
from open_clip.tokenizer import SimpleTokenizer
from torch import Tensor

UNKNOWN = 0
"""The row of a small model's embedding that stands for all tokens it doesn't know; it is 0."""


class ClipTokenizer:
    """open_clip's tokenizer, its ids turned into the rows of a model's embedding.

    Args:
        context_length: of the model.
        known: open_clip's ids that the model has embeddings for, ascending, padding (0) and the end token among them;
            the n-th has row n + 1. None: all have, and the row is the id.
    """

    def __init__(self, context_length: int, known: Sequence[int] | None = None):
        self._tokenizer = SimpleTokenizer(context_length=context_length)
        self._known = None if known is None else torch.tensor(known)

    def __call__(self, texts: Sequence[str]) -> Tensor:
        """Return (B, context length) int64 rows: start, words, end, padding. Longer texts end in the end token."""
        tokens = self._tokenizer(list(texts))  # (B, context length)
        if self._known is None:
            return tokens
        places = torch.searchsorted(self._known, tokens)  # (B, context length)
        return torch.where(self._known[places] == tokens, places + 1, UNKNOWN)

    def length(self, text: str) -> int:
        """Return how many places a text would take, start and end among them."""
        return len(self._tokenizer.encode(text)) + 2


def known_tokens(texts: Sequence[str]) -> list[int]:
    """Return the ids of all tokens of some texts, of the empty text and of padding, ascending."""
    tokenizer = SimpleTokenizer(context_length=1024)  # longer than any of the texts, so that padding is among them
    return tokenizer([*texts, ""]).unique().tolist()
