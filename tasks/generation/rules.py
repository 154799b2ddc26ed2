"""Settings -> the rules they ask for, in the reference's order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from . import processors as p
from . import warpers as w
from .settings import Settings
from .values import listed


@dataclass(frozen=True, slots=True)
class Rules:
    """Rules, one after the other."""

    rules: tuple[p.Processor, ...] = ()

    def __call__(self, ids: Tensor, scores: Tensor) -> Tensor:
        for rule in self.rules:
            scores = rule(ids, scores)
        return scores


def rules_of(
    settings: Settings,
    *,
    prompt: int,
    source: Tensor | None,
    padding: Tensor | None,
    allowed: Callable[[int, Tensor], Sequence[int]] | None = None,
    more: Sequence[p.Processor] = (),
) -> Rules:
    """What the settings ask for.

    Args:
        prompt: length of what is given to start from.
        source: tokens of the encoder's text, or of the prompt where there is no encoder, [B, S].
        padding: tokens in front of each prompt that do not count, [B].
        allowed: the caller's function of prompt and text to the tokens that may follow.
        more: the caller's own rules.
    """
    s = settings
    rules: list[p.Processor] = []
    if s.sequence_bias:
        rules.append(p.SequenceBias(p.biases_of(s.sequence_bias)))
    if s.encoder_repetition_penalty != 1.0 and source is not None:
        rules.append(p.PreferSource(s.encoder_repetition_penalty, source))
    if s.repetition_penalty != 1.0:
        rules.append(p.PenaliseRepetition(s.repetition_penalty, padding))
    if s.no_repeat_ngram_size:
        rules.append(p.NoRepeatedNgram(s.no_repeat_ngram_size))
    if s.encoder_no_repeat_ngram_size and source is not None:
        rules.append(p.NoNgramOfSource(s.encoder_no_repeat_ngram_size, source))
    if s.bad_words_ids:
        bad = {tuple(word): p.NEVER for word in s.bad_words_ids if not (len(word) == 1 and word[0] in s.ends)}
        rules.append(p.SequenceBias(bad))
    if s.min_length and s.ends:
        rules.append(p.NoEndBefore(s.ends, s.min_length))
    if allowed is not None:
        rules.append(p.Allowed(allowed, s.num_beams))
    if s.forced_bos_token_id is not None:
        rules.append(p.ForceAt([s.forced_bos_token_id], 1))
    if s.forced_eos_token_id is not None:
        rules.append(p.ForceAt(listed(s.forced_eos_token_id), s.max_length - 1))
    if s.remove_invalid_values:
        rules.append(p.without_invalid)
    if s.exponential_decay_length_penalty:
        start, factor = s.exponential_decay_length_penalty
        rules.append(p.EndGrows(s.ends, prompt + start, factor))
    if suppressed := listed(s.suppress_tokens):
        rules.append(p.Suppress(suppressed))
    if suppressed := listed(s.begin_suppress_tokens):
        first = prompt if prompt > 1 or s.forced_bos_token_id is None else prompt + 1
        rules.append(p.SuppressAt(suppressed, first))
    rules += [p.Own(rule) for rule in more]
    if s.do_sample:
        rules += warpers_of(s)
    if s.renormalize_logits:
        rules.append(p.normalised)
    return Rules(tuple(rules))


def warpers_of(settings: Settings) -> list[Any]:
    """What narrows chance. With beams as many tokens stay in as it takes to go on without any that ends the text."""
    s = settings
    keep = 1 if s.num_beams == 1 else max(2, len(s.ends) + 1)
    wanted = [
        (s.temperature != 1.0, lambda: w.Temperature(s.temperature)),
        (s.top_k > 0, lambda: w.TopK(s.top_k, keep)),
        (s.top_p < 1.0, lambda: w.TopP(s.top_p, keep)),
        (s.min_p is not None, lambda: w.MinP(s.min_p, keep)),
        (s.typical_p < 1.0, lambda: w.Typical(s.typical_p, keep)),
        (0.0 < s.epsilon_cutoff < 1.0, lambda: w.Epsilon(s.epsilon_cutoff, keep)),
        (0.0 < s.eta_cutoff < 1.0, lambda: w.Eta(s.eta_cutoff, keep)),
    ]
    return [make() for asked, make in wanted if asked]
