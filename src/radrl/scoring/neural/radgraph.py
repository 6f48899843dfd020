"""RadGraph (Jain et al., NeurIPS 2021) and RadGraph-XL (Delbrouck et al., ACL 2024) from their published archives.

The model is DyGIE++ (Wadden et al., EMNLP 2019): word vectors of a BERT, spans of up to 8 words as (first word, last
word, width), a label for each span, and relations between the half as many spans as words that a second scorer keeps.
The same numbers as the package radgraph's, in another order of work: many reports at a time, the first layer over spans
as a sum over their words, relations only between kept spans that have a label (no others reach the output).

Rounding differs with the order of work, so a decision that is closer than ``MARGIN`` is made again in float64: then a
graph does not depend on the batch it was made in.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from radrl.scoring.neural import encoder
from radrl.scoring.neural import radgraph_archive as archive
from radrl.scoring.neural.graphs import SPLITTERS, Spans
from radrl.scoring.neural.radgraph_archive import FEEDFORWARD, PIECES, WIDTH, Weights

MARGIN = 1e-4
MOST_WORDS = 1000  # read of a report: the pairs of spans grow with the square
PAIRS = 8192  # scored at a time


class RadGraph:
    """RadGraph from an unpacked archive: ``config.json``, ``weights.th``, ``vocabulary/``, and under ``encoder/`` the
    config and tokenizer of the model that ``config.json`` names (without it, the hub's copy on this machine).

    Raises:
        UserError: the archive is not whole, or asks for what is not served (coreference, events, other sizes).
    """

    def __init__(self, folder: Path, device: str) -> None:
        name = archive.read_config(folder)
        self.type, self.labels, self.relations = archive.read_labels(folder / "vocabulary")
        self.split, self.device = SPLITTERS[self.type], device
        weights = encoder.read_weights(folder / "weights.th")
        inner = "_embedder.token_embedder_bert._matched_embedder.transformer_model."
        read = encoder.read_config(folder / "encoder", name)
        self.encoder = encoder.Encoder(
            read, encoder.without_prefix(weights, inner), device, at=f"{folder}/encoder/config.json"
        )
        self.tokenizer = encoder.read_tokenizer(folder / "encoder", name)
        sizes = self.encoder.hidden, len(self.labels), len(self.relations)
        self.weights = archive.read_heads(folder, weights, self.type, *sizes, device)
        self._pieces: dict[str, list[int]] = {}
        self._exact: tuple[encoder.Encoder, Weights] | None = None

    def words(self, text: str) -> list[str]:
        """Returns the words of a report; an empty one is "None", as in the package."""
        return self.split(text or "None")[:MOST_WORDS]

    def __call__(self, texts: Sequence[Sequence[str]]) -> list[Spans]:
        """Returns the entities and relations of each report, given as words.

        A report without a word (only spaces, where the package fails) has none.
        """
        found: list[Spans] = [Spans((), ())] * len(texts)
        pieces = self._word_pieces(texts)
        rows = [i for i, words in enumerate(pieces) if words]
        if not rows:
            return found
        with encoder.exact(self.device):
            first = self._compute([pieces[i] for i in rows], self.encoder, self.weights)
            close = [k for k, (_, margin) in enumerate(first) if margin < MARGIN]
            if close:
                self._exact = self._exact or (self.encoder.double(), self.weights.double())
                again = self._compute([pieces[rows[k]] for k in close], *self._exact)
                for k, (spans, margin) in zip(close, again, strict=True):
                    first[k] = spans._replace(tie=True), margin
        for i, (spans, _) in zip(rows, first, strict=True):
            found[i] = spans
        return found

    def _word_pieces(self, texts: Sequence[Sequence[str]]) -> list[list[list[int]]]:
        """Returns the token ids of each word of each text. "/." and "/?" are read as "." and "?", as in DyGIE++."""
        new = list({word for words in texts for word in words} - self._pieces.keys())
        if len(self._pieces) > 200_000:
            self._pieces.clear()
            new = list({word for words in texts for word in words})
        if new:
            said = [word[1:] if word in ("/.", "/?") else word for word in new]
            ids = self.tokenizer(said, add_special_tokens=False)["input_ids"]
            self._pieces.update(zip(new, ids, strict=True))
        return [[self._pieces[word] for word in words] for words in texts]

    def _compute(
        self, texts: Sequence[Sequence[Sequence[int]]], model: encoder.Encoder, w: Weights
    ) -> list[tuple[Spans, float]]:
        """Returns the spans of each text, given as the pieces of each word, and the least margin of its decisions."""
        counts = [len(words) for words in texts]
        vectors = self._word_vectors(texts, model)  # (words of all, hidden)
        edges = [0, *accumulate(counts)]
        left = torch.tensor([n - k for n in counts for k in range(n)], device=self.device)  # words to the end
        fits = torch.arange(WIDTH, device=self.device) < left[:, None]  # (words, 8)
        start, width = fits.nonzero(as_tuple=True)  # in the order of the package: by first word, then by last
        of_width = F.linear(w.widths, *w.width)  # (8, 300)
        hidden = ((vectors @ w.start.T)[start] + (vectors @ w.end.T)[start + width]).add_(of_width[width]).relu_()
        labels = _feed(hidden[:, : FEEDFORWARD[0]], w.label)  # (spans, labels)
        keep = _feed(hidden[:, FEEDFORWARD[0] :], w.keep)[:, 0]  # (spans,)
        label, margin = _decide(labels)
        ends = [0, *accumulate(sum(max(n - d, 0) for d in range(WIDTH)) for n in counts)]
        first, last = start.cpu(), (start + width).cpu()
        label, margin, scores = label.cpu(), margin.cpu(), keep.cpu()
        entities, pairs, margins = [], [], []
        for (a, b), words in zip(pairwise(ends), counts, strict=True):
            entity = label[a:b] > 0
            kept, gap = _keep(scores[a:b], entity, (words + 1) // 2)
            entities.append(entity.nonzero()[:, 0] + a)
            pairs.append(torch.cartesian_prod(kept + a, kept + a).view(-1, 2))
            margins.append(min(gap, margin[a:b].min().item()))
        relation, gaps = self._relate(torch.cat(pairs), vectors, start, width, keep, w)
        found = []
        for k, (mine, gap) in enumerate(
            zip(relation.split(list(map(len, pairs))), gaps.split(list(map(len, pairs))), strict=True)
        ):
            said, word, related = entities[k], edges[k], mine.nonzero()[:, 0]
            at = {span: n for n, span in enumerate(said.tolist())}
            three = zip((first[said] - word).tolist(), (last[said] - word).tolist(), label[said].tolist(), strict=True)
            both = zip(pairs[k][related].tolist(), mine[related].tolist(), strict=True)
            spans = Spans(
                [(i, j, self.labels[n]) for i, j, n in three],
                [(at[i], at[j], self.relations[n - 1]) for (i, j), n in both],
            )
            found.append((spans, min([margins[k], *gap.tolist()])))
        return found

    def _word_vectors(self, texts: Sequence[Sequence[Sequence[int]]], model: encoder.Encoder) -> Tensor:
        """Returns the mean of each word's pieces, (words of all, hidden); 0 for a word without any. A text of more than
        510 pieces is read in parts of 510, cut without regard to words, as AllenNLP folds it."""
        size, begin, end = PIECES - 2, self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        parts = []
        for words in texts:
            ids = [i for word in words for i in word]
            parts += [[begin, *ids[k : k + size], end] for k in range(0, len(ids), size)]
        none = model.words.new_zeros(0, model.hidden)
        pieces = torch.cat([none, *(part[1:-1] for part in model(parts))])  # (pieces of all, hidden)
        counts = torch.tensor([len(word) for words in texts for word in words], device=self.device)
        owner = torch.repeat_interleave(counts)
        sums = pieces.new_zeros(len(counts), pieces.shape[1]).index_add_(0, owner, pieces)
        return sums / counts.clamp(min=1)[:, None]

    def _relate(
        self, pairs: Tensor, vectors: Tensor, start: Tensor, width: Tensor, keep: Tensor, w: Weights
    ) -> tuple[Tensor, Tensor]:
        """Returns the relation of each pair of spans, 0 for none, and the margin of that decision."""
        spans, at = pairs.unique(return_inverse=True)
        spans, at = spans.to(self.device), at.to(self.device)
        i, d = start[spans], width[spans]
        span = torch.cat([vectors[i], vectors[i + d], w.widths[d]], 1)  # (spans, 2 hidden + 20)
        mine, other, product, bias = w.first
        one, two, score = span @ mine.T + bias, span @ other.T, keep[spans]
        relation, margin = [], []
        for k in range(0, len(at), PAIRS):
            a, b = at[k : k + PAIRS].T
            hidden = F.linear(span[a] * span[b], product).add_(one[a]).add_(two[b]).relu_()
            best, gap = _decide(_feed(hidden, w.relation) + (score[a] + score[b])[:, None])
            relation.append(best)
            margin.append(gap)
        none = torch.zeros(0, dtype=torch.long)
        return (torch.cat(relation).cpu(), torch.cat(margin).cpu()) if relation else (none, none.double())


def _feed(hidden: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    (weight, bias), last = layers
    return F.linear(F.linear(hidden, weight, bias).relu_(), *last)


def _decide(scores: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the class of the best score and by how much it wins, with a class 0 of score 0 put before the others."""
    two, classes = F.pad(scores, (1, 0)).topk(2, dim=1)
    return classes[:, 0], two[:, 0] - two[:, 1]


def _keep(scores: Tensor, entity: Tensor, most: int) -> tuple[Tensor, float]:
    """Returns the entities among the ``most`` spans of highest score, in order, and by how much the nearest decision
    about an entity was won."""
    best, chosen = scores.topk(most)
    inside = torch.zeros(len(scores), dtype=torch.bool)
    inside[chosen] = True
    out, gaps = ~inside, []
    if out.any():
        highest, lowest = scores[out].max().item(), best[-1].item()
        gaps = [v - highest for v in scores[inside & entity].tolist()]
        gaps += [lowest - v for v in scores[out & entity].tolist()]
    return (inside & entity).nonzero()[:, 0], min(gaps, default=float("inf"))
