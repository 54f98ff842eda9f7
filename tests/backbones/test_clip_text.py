"""Tokens of a CLIP that has embeddings of a few words only."""

import torch
from open_clip.tokenizer import SimpleTokenizer

from stereozero.backbones.clip_text import UNKNOWN, ClipTokenizer, known_tokens

TEXTS = ["a red disc moves left, the camera is still", ""]


def test_without_a_list_the_tokens_are_those_of_open_clip():
    assert torch.equal(ClipTokenizer(77)(TEXTS), SimpleTokenizer(context_length=77)(TEXTS))


def test_known_tokens_are_numbered_from_one_in_order():
    known = known_tokens(TEXTS)
    tokens = ClipTokenizer(77, known)(TEXTS)
    rows = torch.tensor([-1, *known])
    assert torch.equal(rows[tokens], SimpleTokenizer(context_length=77)(TEXTS))
    assert tokens.max() == len(known)  # the end token, at whose place open_clip pools
    assert tokens[1, 2:].eq(1).all()  # padding


def test_other_words_are_unknown():
    tokenizer = ClipTokenizer(77, known_tokens(TEXTS))
    strange, usual = tokenizer(["a xylophone moves left"])[0], tokenizer(["a disc moves left"])[0]
    assert UNKNOWN in strange
    assert UNKNOWN not in usual
    assert strange[1] == usual[1]


def test_a_text_that_is_too_long_ends_in_the_end_token():
    tokenizer = ClipTokenizer(8, known_tokens(TEXTS))
    assert tokenizer.length(TEXTS[0]) == 12
    assert tokenizer(TEXTS)[0, -1] == tokenizer(TEXTS).max()
