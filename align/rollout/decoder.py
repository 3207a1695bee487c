"""Slots that are decoded together: one token for each, a step; on GPUs the whole step is one captured graph.

A step is a forward pass, sampling, the logprob, and the bookkeeping of who has stopped, all on the device: the host replays
and looks only now and then. Tokens are drawn by adding Gumbel noise (Gumbel 1954; Maddison et al. 2014): the argmax of
logits / T - log E, E ~ Exp(1), is a sample of softmax(logits / T).

Axes: S slots, B the first slots, those in use, W most tokens of a completion and one more, V vocabulary, H hidden width.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from align.rollout.flat_cache import bring_forward, release
from align.rollout.view import RolloutView

WARM_UPS = 2  # steps before a graph is captured, in which libraries allocate what they keep
NOISE_FLOOR = 1e-30  # the CPU's exponential can be 0


class Decoder:
    """`slots` completions at once, each of at most `length` tokens with its prompt and `most_new` without."""

    def __init__(self, view: RolloutView, slots: int, length: int, most_new: int, stops: Sequence[int]) -> None:
        self._view, self.slots, self.length, self.most_new = view, slots, length, most_new
        self._places = view.places()
        self.device = device = next(view.model.parameters()).device
        release(view.model)
        self._tokens_S = torch.zeros(slots, dtype=torch.long, device=device)
        self._positions_S = torch.zeros(slots, dtype=torch.long, device=device)
        self._counts_S = torch.zeros(slots, dtype=torch.long, device=device)
        self._done_S = torch.ones(slots, dtype=torch.bool, device=device)
        self._out_SW = torch.zeros(slots, most_new + 1, dtype=torch.long, device=device)
        self._logprobs_SW = torch.zeros(slots, most_new + 1, device=device)
        self._all_S = torch.arange(slots, device=device)
        starts = torch.arange(slots + 1, device=device, dtype=torch.int32)
        self._starts = starts, starts * length
        self._limit = torch.tensor(most_new, device=device)
        self._stops = torch.tensor(list(stops), dtype=torch.long, device=device)
        self._generator = torch.Generator(device)
        self._graphs: dict[tuple[int, float], Any] = {}
        self._pool = torch.cuda.graph_pool_handle() if device.type == "cuda" else None

    @property
    def compiled(self) -> bool:
        return self._view.compiled

    def serves(self, slots: int, length: int, most_new: int) -> bool:
        """Whether it has room for these, and its graphs still read the weights."""
        fits = slots == self.slots and length <= self.length and most_new <= self.most_new
        return fits and self._places == self._view.places()

    def begin(self, most_new: int, seed: int) -> None:
        """Forget everything; completions end at `most_new` tokens from now on."""
        self._limit.fill_(most_new)
        self._done_S.fill_(True)
        self._positions_S.zero_()
        self._counts_S.zero_()
        self._generator.manual_seed(seed)

    @torch.no_grad()
    def insert(self, prompts: Sequence[list[int]], slots: Sequence[int], temperature: float) -> None:
        """Lay prompts into slots, in one pass, and sample the first token of each."""
        lengths = [len(p) for p in prompts]
        at_B = torch.tensor(slots, device=self.device)
        lengths_B = torch.tensor(lengths, device=self.device)
        positions_N = torch.cat([torch.arange(n) for n in lengths]).to(self.device)
        ends = torch.tensor(list(accumulate(lengths)), device=self.device)
        with _eager() if self._view.compiled else nullcontext():
            hidden_NH = self._body(
                torch.tensor([t for p in prompts for t in p], device=self.device)[None],
                positions_N[None],
                write_at_N=at_B.repeat_interleave(lengths_B) * self.length + positions_N,
                cu_seq_lens_q=torch.nn.functional.pad(ends, (1, 0)).to(torch.int32),
                max_length_q=max(lengths),
            )[0]
        self._counts_S[at_B] = 0
        self._done_S[at_B] = False
        self._positions_S[at_B] = lengths_B - 1
        self._advance(hidden_NH[ends - 1], at_B, temperature)

    @torch.no_grad()
    def steps(self, count: int, slots: int, temperature: float) -> None:
        """`count` tokens more for each of the first `slots` that has not ended."""
        if self._pool is None:
            for _ in range(count):
                self._step(slots, temperature)
            return
        graph = self._graphs.get((slots, temperature))
        if graph is None:
            graph = self._graphs[slots, temperature] = self._capture(slots, temperature)
        for _ in range(count):
            graph.replay()

    def ended(self, slots: int) -> list[bool]:
        """Of the first slots; waits for the device."""
        return self._done_S[:slots].tolist()

    def read(self, slots: Sequence[int]) -> list[tuple[list[int], list[float]]]:
        """Tokens and logprobs so far."""
        at = torch.tensor(slots, device=self.device)
        rows = zip(self._counts_S[at].tolist(), self._out_SW[at].tolist(), self._logprobs_SW[at].tolist(), strict=True)
        return [(tokens[:n], logprobs[:n]) for n, tokens, logprobs in rows]

    def keep(self, slots: Sequence[int]) -> None:
        """Move these slots to the front, in this order; what others held is lost."""
        at, n = torch.tensor(slots, device=self.device), len(slots)
        bring_forward(self._view.model, at, self.length)
        for state in (*self._small(), self._out_SW, self._logprobs_SW):
            state[:n] = state[at]
        self._done_S[n:] = True

    def _small(self) -> tuple[Tensor, ...]:
        return self._tokens_S, self._positions_S, self._counts_S, self._done_S

    def _body(self, ids: Tensor, positions: Tensor, **told: Any) -> Tensor:
        body = self._view.model.base_model
        told |= {"input_ids": ids, "position_ids": positions, "cache_shape": (self.slots, self.length)}
        with self._view.computing():
            return body(use_cache=False, **told).last_hidden_state

    def _step(self, slots: int, temperature: float) -> None:
        positions_B = self._positions_S[:slots]
        hidden_B1H = self._body(
            self._tokens_S[:slots, None],
            positions_B[:, None],
            write_at_N=self._starts[1][:slots] + positions_B,
            used_B=(positions_B + 1).to(torch.int32),
            slot_starts=tuple(starts[: slots + 1] for starts in self._starts),
        )
        self._advance(hidden_B1H[:, 0], self._all_S[:slots], temperature)

    def _advance(self, hidden_BH: Tensor, at_B: Tensor, temperature: float) -> None:
        """Sample after `hidden_BH`, and note it; slots that have ended write behind their last token, where nobody reads."""
        tokens_B, logprobs_B = self._sample(self._view.logits(hidden_BH), temperature)
        counts_B, alive_B = self._counts_S[at_B], ~self._done_S[at_B]
        self._out_SW[at_B, counts_B] = tokens_B
        self._logprobs_SW[at_B, counts_B] = logprobs_B
        counts_B = counts_B + alive_B
        stopped_B = (tokens_B[:, None] == self._stops).any(1) | (counts_B >= self._limit)
        self._done_S[at_B] = ~alive_B | stopped_B
        self._counts_S[at_B] = counts_B
        self._positions_S[at_B] += alive_B
        self._tokens_S[at_B] = tokens_B

    def _sample(self, logits_BV: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        if temperature == 0:
            tokens_B = logits_BV.argmax(-1)
        else:
            if temperature != 1:
                logits_BV = logits_BV / temperature
            noise_BV = torch.empty_like(logits_BV).exponential_(generator=self._generator)
            if not noise_BV.is_cuda:
                noise_BV.clamp_(min=NOISE_FLOOR)
            tokens_B = torch.sub(logits_BV, noise_BV.log_(), out=noise_BV).argmax(-1)
        return tokens_B, logits_BV.log_softmax(-1).gather(1, tokens_B[:, None])[:, 0]

    def _capture(self, slots: int, temperature: float) -> Any:
        """A graph of one step. The steps that warm up leave no trace: every slot has ended while they run."""
        before, random_state = [state.clone() for state in self._small()], self._generator.get_state()
        self._done_S.fill_(True)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARM_UPS):
                self._step(slots, temperature)
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._generator)
        with torch.cuda.graph(graph, pool=self._pool):
            self._step(slots, temperature)
        self._generator.set_state(random_state)
        for state, value in zip(self._small(), before, strict=True):
            state.copy_(value)
        return graph


def _eager() -> AbstractContextManager[Any]:
    """Prompts differ in length: compiled layers would be compiled again for each."""
    return torch.compiler.set_stance("force_eager")
