"""Text to ids and back, assembled like the models from a spec's `tokenizer` section."""

from .added_tokens import AddedToken
from .build import build_tokenizer, open_tokenizer
from .encoding import Encoding
from .tokenizer import Tokenizer

__all__ = ["AddedToken", "Encoding", "Tokenizer", "build_tokenizer", "open_tokenizer"]
