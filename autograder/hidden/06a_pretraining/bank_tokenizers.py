"""Known wrong and known right variants of the tokenizers notebook."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter, defaultdict

from autograder.bank import right, wrong

PRETOKEN = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+"  # given by the notebook

# --- train_bpe --------------------------------------------------------------------------------------------


@wrong(
    "train_bpe",
    "Of several pairs with the same count you take the one you met first. Equal counts: take the greatest"
    " pair, so that everybody gets the same tokenizer. Look at rule R4.",
)
def tie_goes_to_the_first_seen(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    cut = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    parts = re.split(cut, text) if special else [text]
    times = Counter(w for part in parts for w in re.findall(PRETOKEN, part))
    words = [[bytes([b]) for b in w.encode()] for w in times]
    merges = []
    while first + len(merges) < vocab_size:
        counts = Counter()
        for word, n in zip(words, times.values()):
            for pair in itertools.pairwise(word):
                counts[pair] += n
        if not counts:
            break
        best = max(counts, key=counts.get)
        merges.append(best)
        for i, word in enumerate(words):
            new = []
            for symbol in word:
                new.append(symbol)
            at = 0
            while at < len(new) - 1:
                if (new[at], new[at + 1]) == best:
                    new[at : at + 2] = [new[at] + new[at + 1]]
                at += 1
            words[i] = new
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@wrong(
    "train_bpe",
    "You learn as many merges as `vocab_size` says. The bytes and the specials are entries of the "
    "vocabulary as well: the merges get what is left. Look at rule R6.",
)
def merges_instead_of_entries(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    cut = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    parts = re.split(cut, text) if special else [text]
    times = Counter(w for part in parts for w in re.findall(PRETOKEN, part))
    words = [[bytes([b]) for b in w.encode()] for w in times]
    merges = []
    while len(merges) < vocab_size:
        counts = Counter()
        for word, n in zip(words, times.values()):
            for pair in itertools.pairwise(word):
                counts[pair] += n
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for i, word in enumerate(words):
            new = []
            for symbol in word:
                new.append(symbol)
            at = 0
            while at < len(new) - 1:
                if (new[at], new[at + 1]) == best:
                    new[at : at + 2] = [new[at] + new[at + 1]]
                at += 1
            words[i] = new
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@wrong(
    "train_bpe",
    "Your merges join the end of one word with the start of the next. Cut the text with PRETOKEN first, "
    "and count pairs inside the pieces only. Look at rule R3.",
)
def merges_across_words(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    cut = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    parts = re.split(cut, text) if special else [text]
    words = [[bytes([b]) for b in part.encode()] for part in parts]
    merges = []
    while first + len(merges) < vocab_size:
        counts = Counter(pair for word in words for pair in itertools.pairwise(word))
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [word[at] + word[at + 1]]
                at += 1
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@wrong(
    "train_bpe",
    "The text of the specials takes part in your merges: <|end|> has become pieces like <| and end. Cut "
    "the specials out before anything is counted. Look at rule R2.",
)
def specials_take_part(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    times = Counter(re.findall(PRETOKEN, text))
    words, weights = [[bytes([b]) for b in w.encode()] for w in times], list(times.values())
    counts, homes = Counter(), defaultdict(set)
    for i, word in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += weights[i]
            homes[pair].add(i)
    merges = []
    while first + len(merges) < vocab_size:
        best = max(counts, key=lambda pair: (counts[pair], pair), default=None)
        if best is None:
            break
        merges.append(best)
        for i in homes.pop(best):
            word = words[i]
            for pair in itertools.pairwise(word):
                counts[pair] -= weights[i]
                if counts[pair] == 0:
                    del counts[pair]
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [word[at] + word[at + 1]]
                at += 1
            for pair in itertools.pairwise(word):
                counts[pair] += weights[i]
                homes[pair].add(i)
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@wrong(
    "train_bpe",
    "Your counts drift in runs: the count of ('a', 'a') is wrong after merging in 'aaa'. There a pair "
    "overlaps itself, and taking away 'the pair on the left and the pair on the right' of each merge "
    "takes away the same one twice. Look at rules R4 and R5.",
)
def counts_drift_in_runs(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    cut = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    parts = re.split(cut, text) if special else [text]
    times = Counter(w for part in parts for w in re.findall(PRETOKEN, part))
    words, weights = [[bytes([b]) for b in w.encode()] for w in times], list(times.values())
    counts, homes = Counter(), defaultdict(set)
    for i, word in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += weights[i]
            homes[pair].add(i)
    merges = []
    while first + len(merges) < vocab_size:
        best = max(
            (pair for pair in counts if counts[pair] > 0), key=lambda pair: (counts[pair], pair), default=None
        )
        if best is None:
            break
        merges.append(best)
        joined = best[0] + best[1]
        del counts[best]
        for i in homes.pop(best, ()):
            old, new, at = words[i], [], 0
            while at < len(old):
                if tuple(old[at : at + 2]) == best:
                    if at:  # the neighbour on the left, as it was before this merge
                        counts[old[at - 1], best[0]] -= weights[i]
                        counts[old[at - 1], joined] += weights[i]
                        homes[old[at - 1], joined].add(i)
                    if at + 2 < len(old):
                        counts[best[1], old[at + 2]] -= weights[i]
                        counts[joined, old[at + 2]] += weights[i]
                        homes[joined, old[at + 2]].add(i)
                    new.append(joined)
                    at += 2
                else:
                    new.append(old[at])
                    at += 1
            words[i] = new
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@wrong(
    "train_bpe",
    "Your merges are right, but you count the whole text anew for each of them: learning 1,000 merges "
    "would take as long as counting 1,000 times. Remember which words hold a pair and touch only those. "
    "Look at rule R8.",
)
def counts_everything_anew(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    cut = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    parts = re.split(cut, text) if special else [text]
    times = Counter(w for part in parts for w in re.findall(PRETOKEN, part))
    words = [[bytes([b]) for b in w.encode()] for w in times]
    merges = []
    while first + len(merges) < vocab_size:
        counts = Counter()
        for word, n in zip(words, times.values()):
            for pair in itertools.pairwise(word):
                counts[pair] += n
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [word[at] + word[at + 1]]
                at += 1
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@wrong(
    "train_bpe",
    "You count every different word once, however often the text has it, so rare words decide as much as "
    "frequent ones. A pair counts once for each occurrence. Look at rule R4.",
)
def words_counted_once(text, vocab_size, special=()):
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError("too small")
    cut = "|".join(map(re.escape, sorted(special, key=len, reverse=True)))
    parts = re.split(cut, text) if special else [text]
    distinct = dict.fromkeys(w for part in parts for w in re.findall(PRETOKEN, part))
    words = [[bytes([b]) for b in w.encode()] for w in distinct]
    merges = []
    while first + len(merges) < vocab_size:
        counts = Counter(pair for word in words for pair in itertools.pairwise(word))
        if not counts:
            break
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for word in words:
            at = 0
            while at < len(word) - 1:
                if (word[at], word[at + 1]) == best:
                    word[at : at + 2] = [word[at] + word[at + 1]]
                at += 1
    tokens = [bytes([b]) for b in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    return dict(enumerate(tokens)), merges


@right("train_bpe", uses="F1 F2 F3")
def heap_with_late_checks(text, vocab_size, special=()):
    """A heap of pairs with lazily refreshed counts; counts changed by the difference of a word before and
    after; lists for pairs.
    """
    import functools
    import heapq

    room = vocab_size - 256 - len(special)
    if room < 0:
        raise ValueError("no room")
    times = Counter()
    at = start = 0
    while at <= len(text):
        here = (
            max((s for s in special if text.startswith(s, at)), key=len, default=None)
            if at < len(text)
            else ""
        )
        if here is not None:
            times.update(re.findall(PRETOKEN, text[start:at]))
            start = at = at + max(1, len(here))
        else:
            at += 1
    words = [(tuple(bytes([b]) for b in word.encode()), n) for word, n in times.items()]
    counts, homes = Counter(), defaultdict(set)
    for i, (word, n) in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += n
            homes[pair].add(i)

    @functools.total_ordering
    class Downwards:
        def __init__(self, pair):
            self.pair = pair

        def __eq__(self, other):
            return self.pair == other.pair

        def __lt__(self, other):
            return self.pair > other.pair

    heap = [(-n, Downwards(pair)) for pair, n in counts.items()]
    heapq.heapify(heap)
    merges = []
    while heap and len(merges) < room:
        n, entry = heapq.heappop(heap)
        best = entry.pair
        if counts[best] != -n or n == 0:
            continue
        merges.append([*best])
        changed = set()
        for i in list(homes[best]):
            word, weight = words[i]
            new = []
            for symbol in word:
                if new and new[-1] is not None and (new[-1], symbol) == best:
                    new[-1] = best[0] + best[1]
                    new.append(None)  # what was just merged must not merge again
                else:
                    new.append(symbol)
            new = tuple(symbol for symbol in new if symbol is not None)
            difference = Counter(itertools.pairwise(new))
            difference.subtract(Counter(itertools.pairwise(word)))
            for pair, change in difference.items():
                counts[pair] += change * weight
                changed.add(pair)
                homes[pair].add(i)
            words[i] = (new, weight)
        for pair in changed:
            if counts[pair]:
                heapq.heappush(heap, (-counts[pair], Downwards(pair)))
    vocab = {256 + len(special) + i: b"".join(pair) for i, pair in enumerate(merges)}
    vocab |= {256 + i: s.encode() for i, s in enumerate(special)}
    return [vocab | {b: bytes([b]) for b in range(256)}, merges]


@right("train_bpe", uses="F1 F3")
def whole_text_as_linked_list(text, vocab_size, special=()):
    """No table of words: the whole text as one linked list of symbols, with the places of each pair."""
    if vocab_size < 256 + len(special):
        raise ValueError("no room")
    pattern = "|".join(re.escape(s) for s in sorted(special, key=lambda s: -len(s)))
    symbols, follower, before = [], [], []
    for part in re.split(pattern, text) if special else [text]:
        for word in re.finditer(PRETOKEN, part):
            data = word[0].encode()
            for k, byte in enumerate(data):
                here = len(symbols)
                symbols.append(bytes([byte]))
                before.append(here - 1 if k else -1)
                follower.append(here + 1 if k + 1 < len(data) else -1)
    places = defaultdict(set)
    for i, j in enumerate(follower):
        if j >= 0:
            places[symbols[i], symbols[j]].add(i)
    counts = {pair: len(where) for pair, where in places.items()}

    def change(i, sign):
        j = follower[i] if i >= 0 else -1
        if j >= 0:
            pair = (symbols[i], symbols[j])
            (places[pair].add if sign > 0 else places[pair].discard)(i)
            counts[pair] = len(places[pair])
            if not counts[pair]:
                del counts[pair]

    merges = []
    while counts and 256 + len(special) + len(merges) < vocab_size:
        best = max(zip(counts.values(), counts))[1]
        merges.append(best)
        for i in sorted(places[best]):
            j = follower[i]
            if j < 0 or (symbols[i], symbols[j]) != best:
                continue
            for k in (before[i], i, j):
                change(k, -1)
            symbols[i], symbols[j] = symbols[i] + symbols[j], b""
            follower[i] = follower[j]
            if follower[j] >= 0:
                before[follower[j]] = i
            follower[j] = before[j] = -1
            for k in (before[i], i):
                change(k, +1)
    tokens = [*(bytes([b]) for b in range(256)), *(s.encode() for s in special), *map(b"".join, merges)]
    return dict(enumerate(tokens)), tuple(merges)


# --- BPETokenizer -----------------------------------------------------------------------------------------


@wrong(
    "BPETokenizer",
    "You take the longest token of the vocabulary that fits at each place. That is not the order the "
    "merges were learned in: of the pairs that are there, the one of lowest rank is merged first. Look at"
    " rule R3.",
)
class LongestMatch:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, sorted(special, key=len, reverse=True), pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.plain = self.ids.keys() - {s.encode() for s in special}

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in re.findall(self.pattern, part):
                data = word.encode()
                while data:
                    n = next(n for n in range(len(data), 0, -1) if data[:n] in self.plain)
                    out.append(self.ids[data[:n]])
                    data = data[n:]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@wrong(
    "BPETokenizer",
    "You turn each token into text by itself, so a letter whose bytes lie in two tokens breaks: é becomes"
    " two replacement characters. Decode all bytes together. Look at rule R5.",
)
class DecodesTokenByToken:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, sorted(special, key=len, reverse=True), pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {pair: n for n, pair in enumerate(merges)}

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in re.findall(self.pattern, part):
                row = [bytes([b]) for b in word.encode()]
                while len(row) > 1:
                    n = min(range(len(row) - 1), key=lambda n: self.rank.get((row[n], row[n + 1]), math.inf))
                    if (row[n], row[n + 1]) not in self.rank:
                        break
                    row[n : n + 2] = [row[n] + row[n + 1]]
                out += [self.ids[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return "".join(self.vocab[i].decode("utf-8", "replace") for i in ids)

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@wrong(
    "BPETokenizer",
    "You encode the text of a special like any other text. A special is one token that plain text can "
    "never produce: cut the text at the specials first. Look at rule R2.",
)
class SpecialsAsText:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.pattern = vocab, pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {pair: n for n, pair in enumerate(merges)}

    def encode(self, text):
        out = []
        for word in re.findall(self.pattern, text):
            row = [bytes([b]) for b in word.encode()]
            while len(row) > 1:
                n = min(range(len(row) - 1), key=lambda n: self.rank.get((row[n], row[n + 1]), math.inf))
                if (row[n], row[n + 1]) not in self.rank:
                    break
                row[n : n + 2] = [row[n] + row[n + 1]]
            out += [self.ids[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@wrong(
    "BPETokenizer",
    "You merge the first pair from the left that can be merged, not the pair of lowest rank. The ranks "
    "say what was learned first, and only that order gives the tokens of training. Look at rule R3.",
)
class LeftmostPairFirst:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, sorted(special, key=len, reverse=True), pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.pairs = set(merges)

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in re.findall(self.pattern, part):
                row = [bytes([b]) for b in word.encode()]
                while True:
                    n = next((n for n in range(len(row) - 1) if (row[n], row[n + 1]) in self.pairs), None)
                    if n is None:
                        break
                    row[n : n + 2] = [row[n] + row[n + 1]]
                out += [self.ids[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@wrong(
    "BPETokenizer",
    "Where two specials begin at the same place you take the one that comes first in the list. The "
    "longest wins. Look at rule R2.",
)
class FirstSpecialWins:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, list(special), pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {pair: n for n, pair in enumerate(merges)}

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in re.findall(self.pattern, part):
                row = [bytes([b]) for b in word.encode()]
                while len(row) > 1:
                    n = min(range(len(row) - 1), key=lambda n: self.rank.get((row[n], row[n + 1]), math.inf))
                    if (row[n], row[n + 1]) not in self.rank:
                        break
                    row[n : n + 2] = [row[n] + row[n + 1]]
                out += [self.ids[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@wrong(
    "BPETokenizer",
    "Your encode_iter reads the whole stream before it gives the first id. A stream may be larger than "
    "the memory: give the ids of a line before you take the next ones. Look at rule R6.",
)
class ReadsTheWholeStream:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, sorted(special, key=len, reverse=True), pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {pair: n for n, pair in enumerate(merges)}

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in re.findall(self.pattern, part):
                row = [bytes([b]) for b in word.encode()]
                while len(row) > 1:
                    n = min(range(len(row) - 1), key=lambda n: self.rank.get((row[n], row[n + 1]), math.inf))
                    if (row[n], row[n + 1]) not in self.rank:
                        break
                    row[n : n + 2] = [row[n] + row[n + 1]]
                out += [self.ids[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        return iter([i for line in list(lines) for i in self.encode(line)])


@wrong(
    "BPETokenizer",
    "You compute ids from ranks: the byte itself, or 256 plus the rank. With specials in between, or in "
    "GPT-2's order of bytes, this is another token. Look every id up in vocab. Look at rule R1.",
)
class IdsFromRanks:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, sorted(special, key=len, reverse=True), pattern
        self.rank = {pair: n for n, pair in enumerate(map(tuple, merges))}
        self.ids = {token: i for i, token in vocab.items()}
        self.computed = {bytes([b]): b for b in range(256)}
        self.computed |= {a + b: 256 + n for n, (a, b) in enumerate(merges)}

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in re.findall(self.pattern, part):
                row = [bytes([b]) for b in word.encode()]
                while len(row) > 1:
                    best = min(itertools.pairwise(row), key=lambda pair: self.rank.get(pair, math.inf))
                    if best not in self.rank:
                        break
                    at = 0
                    while at < len(row) - 1:
                        if (row[at], row[at + 1]) == best:
                            row[at : at + 2] = [row[at] + row[at + 1]]
                        at += 1
                out += [self.computed[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@wrong(
    "BPETokenizer",
    "You merge in the whole text, so tokens reach from one word into the next. Cut each text with pattern "
    "first, and merge inside the pieces. Look at rule R3.",
)
class NoPretokens:
    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.special, self.pattern = vocab, sorted(special, key=len, reverse=True), pattern
        self.rank = {pair: n for n, pair in enumerate(map(tuple, merges))}
        self.ids = {token: i for i, token in vocab.items()}

    def encode(self, text):
        out = []
        parts = re.split("(" + "|".join(map(re.escape, self.special)) + ")", text) if self.special else [text]
        for part in parts:
            if part in self.special:
                out.append(self.ids[part.encode()])
                continue
            for word in [part]:
                row = [bytes([b]) for b in word.encode()]
                while len(row) > 1:
                    best = min(itertools.pairwise(row), key=lambda pair: self.rank.get(pair, math.inf))
                    if best not in self.rank:
                        break
                    at = 0
                    while at < len(row) - 1:
                        if (row[at], row[at + 1]) == best:
                            row[at : at + 2] = [row[at] + row[at + 1]]
                        at += 1
                out += [self.ids[token] for token in row]
        return out

    def decode(self, ids):
        if any(i not in self.vocab for i in ids):
            raise ValueError("unknown id")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", "replace")

    def encode_iter(self, lines):
        for line in lines:
            yield from self.encode(line)


@right("BPETokenizer", uses="F1 F2 F3")
class MergeAfterMerge:
    """Goes through the merges a word may need in the order of their ranks; two items of look-ahead; tuples
    of ids.
    """

    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.tokens = dict(vocab)
        self.ids = {token: i for i, token in self.tokens.items()}
        self.order = [tuple(pair) for pair in merges]
        self.making = {}
        for n, pair in enumerate(self.order):
            self.making.setdefault(b"".join(pair), []).append(n)
        self.special, self.pattern = set(special), pattern

    def pieces(self, text):
        start = at = 0
        while at < len(text):
            found = max((s for s in self.special if text.startswith(s, at)), key=len, default="")
            if found:
                yield from ((word.encode(), False) for word in re.findall(self.pattern, text[start:at]))
                yield found.encode(), True
                start = at + len(found)
            at += len(found) or 1
        yield from ((word.encode(), False) for word in re.findall(self.pattern, text[start:]))

    def merged(self, data):
        row = [data[i : i + 1] for i in range(len(data))]
        parts = {data[a:b] for a in range(len(data)) for b in range(a + 2, len(data) + 1)}
        for n in sorted(n for part in parts for n in self.making.get(part, ())):
            new, at = [], 0
            while at < len(row):
                both = tuple(row[at : at + 2]) == self.order[n]
                new.append(row[at] + row[at + 1] if both else row[at])
                at += 2 if both else 1
            row = new
        return row

    def encode(self, text):
        rows = ([data] if is_special else self.merged(data) for data, is_special in self.pieces(text))
        return tuple(self.ids[token] for row in rows for token in row)

    def decode(self, ids):
        try:
            data = b"".join([self.tokens[i] for i in ids])
        except KeyError as missing:
            raise ValueError("unknown id") from missing
        return str(data, "utf-8", "replace")

    def encode_iter(self, lines):
        lines = iter(lines)
        ahead = list(itertools.islice(lines, 3))
        while ahead:
            yield from self.encode(ahead.pop(0))
            ahead += itertools.islice(lines, 1)


@right("BPETokenizer", uses="F2 F3")
class HeapOfRanks:
    """One merge at a time, the leftmost of lowest rank, from a heap; specials by re.finditer; encode_iter
    by chain.
    """

    def __init__(self, vocab, merges, special=(), pattern=PRETOKEN):
        self.vocab, self.pattern = vocab, pattern
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {(a, b): n for n, (a, b) in enumerate(merges)}
        self.special = re.compile(
            "|".join(re.escape(s) for s in sorted(special, key=lambda s: -len(s))) or r"(?!)"
        )

    def encode(self, text):
        out, start = [], 0
        for match in self.special.finditer(text):
            out += self.plain(text[start : match.start()])
            out.append(self.ids[match[0].encode()])
            start = match.end()
        return out + self.plain(text[start:])

    def plain(self, text):
        import heapq

        out = []
        for word in re.finditer(self.pattern, text):
            row = [bytes([b]) for b in word[0].encode()]
            follower = [*range(1, len(row)), None]
            before = [None, *range(len(row) - 1)]
            heap = [
                (self.rank[pair], n, *pair)
                for n, pair in enumerate(itertools.pairwise(row))
                if pair in self.rank
            ]
            heapq.heapify(heap)
            while heap:
                _, n, a, b = heapq.heappop(heap)
                m = follower[n]
                if row[n] != a or m is None or row[m] != b:
                    continue
                row[n], row[m], follower[n] = a + b, None, follower[m]
                if follower[m] is not None:
                    before[follower[m]] = n
                for left in (before[n], n):
                    if left is not None and follower[left] is not None:
                        pair = (row[left], row[follower[left]])
                        if pair in self.rank:
                            heapq.heappush(heap, (self.rank[pair], left, *pair))
            out += [self.ids[token] for token in row if token is not None]
        return out

    def decode(self, ids):
        if set(ids) - self.vocab.keys():
            raise ValueError("unknown id")
        return b"".join(map(self.vocab.__getitem__, ids)).decode(errors="replace")

    def encode_iter(self, lines):
        return itertools.chain.from_iterable(map(self.encode, lines))


# --- viterbi_unigram --------------------------------------------------------------------------------------


@wrong(
    "viterbi_unigram",
    "You take the longest piece that fits and go on. Two likely pieces may beat one unlikely long one: "
    "compare the sums of whole segmentations. Look at rule R3.",
)
def longest_piece_first(text, logp, unk_logp):
    text, cut = "▁" + text.replace(" ", "▁"), []
    while text:
        n = next((n for n in range(16, 1, -1) if len(text) >= n and text[:n] in logp), 1)
        cut.append(text[:n])
        text = text[n:]
    return cut


@wrong(
    "viterbi_unigram",
    "The mark ▁ in front of the text is missing, so a word at the start is another word than the same "
    "word later. Look at rule R1.",
)
def no_mark_in_front(text, logp, unk_logp):
    text = text.replace(" ", "▁")
    best = [(0.0, 0, [])]
    for end in range(1, len(text) + 1):
        options = []
        for start in range(max(0, end - 16), end):
            piece = text[start:end]
            if piece in logp or len(piece) == 1:
                cost, count, cut = best[start]
                options.append((cost - logp.get(piece, unk_logp), count + 1, [*cut, piece]))
        best.append(min(options))
    return best[-1][2]


@wrong(
    "viterbi_unigram",
    "Several unknown characters in a row come out as one piece. Each unknown character is a piece by "
    "itself and costs unk_logp. Look at rule R2.",
)
def unknown_pieces_of_any_length(text, logp, unk_logp):
    text = "▁" + text.replace(" ", "▁")
    best = [(0.0, 0, [])]
    for end in range(1, len(text) + 1):
        options = []
        for start in range(max(0, end - 16), end):
            piece = text[start:end]
            cost, count, cut = best[start]
            options.append((cost - logp.get(piece, unk_logp), count + 1, [*cut, piece]))
        best.append(min(options))
    return best[-1][2]


@wrong(
    "viterbi_unigram",
    "You multiply probabilities. After some hundred pieces the product is 0 in floating point and all "
    "segmentations look alike. Add the logs instead. Look at rules R3 and R6.",
)
def products_underflow(text, logp, unk_logp):
    text = "▁" + text.replace(" ", "▁")
    best = [(-1.0, 0, 0)]
    for end in range(1, len(text) + 1):
        options = []
        for start in range(max(0, end - 16), end):
            piece = text[start:end]
            if piece in logp or len(piece) == 1:
                minus_p, count, _ = best[start]
                options.append((minus_p * math.exp(logp.get(piece, unk_logp)), count + 1, start))
        best.append(min(options))
    cut, end = [], len(text)
    while end:
        start = best[end][2]
        cut.append(text[start:end])
        end = start
    return cut[::-1]


@wrong(
    "viterbi_unigram",
    "Where two segmentations have the same sum you keep the one you met first. Fewer pieces win, then the"
    " list that comes first in alphabetical order. Look at rule R4.",
)
def ties_by_chance(text, logp, unk_logp):
    text = "▁" + text.replace(" ", "▁")
    best = [(0.0, 0)]
    for end in range(1, len(text) + 1):
        found = (-math.inf, 0)
        for start in range(max(0, end - 16), end):
            piece = text[start:end]
            if piece in logp or len(piece) == 1:
                value = best[start][0] + logp.get(piece, unk_logp)
                if value >= found[0]:
                    found = (value, start)
        best.append(found)
    cut, end = [], len(text)
    while end:
        start = best[end][1]
        cut.append(text[start:end])
        end = start
    return cut[::-1]


@wrong(
    "viterbi_unigram",
    "You let every character be unknown, also one that is a piece: where unk_logp is higher than its log-"
    "probability, you take the wrong one. Only a character without a piece of its own costs unk_logp. "
    "Look at rule R2.",
)
def every_character_may_be_unknown(text, logp, unk_logp):
    text = "▁" + text.replace(" ", "▁")
    best = [(0.0, 0, 0)] * (len(text) + 1)
    for start in range(len(text) - 1, -1, -1):
        options = []
        for end in range(start + 1, min(start + 16, len(text)) + 1):
            value = logp.get(text[start:end], -math.inf)
            if end == start + 1:
                value = max(value, unk_logp)
            options.append((best[end][0] - value, best[end][1] + 1, end))
        best[start] = min(options)
    cut, start = [], 0
    while start < len(text):
        cut.append(text[start : best[start][2]])
        start = best[start][2]
    return cut


@wrong(
    "viterbi_unigram",
    "You split the text at blanks and join it again, so two blanks become one, and tabs, line ends and "
    "blanks at the ends are lost. Replace U+0020 by the mark and nothing else. Look at rule R1.",
)
def blanks_run_together(text, logp, unk_logp):
    text = "▁" + "▁".join(text.split())
    best = [(0.0, 0, [])]
    for start in reversed(range(len(text))):
        options = []
        for stop in range(start + 1, min(start + 16, len(text)) + 1):
            piece = text[start:stop]
            if piece in logp or len(piece) == 1:
                cost, count, cut = best[len(text) - stop]
                options.append((cost - logp.get(piece, unk_logp), count + 1, [piece, *cut]))
        best.append(min(options))
    return best[-1][2]


@right("viterbi_unigram", uses="F1 F2")
def shortest_road_in_fractions(text, logp, unk_logp):
    """Dijkstra's shortest road from the right end, with exact costs; then along the shortest roads."""
    import heapq
    from fractions import Fraction

    text = "▁" + text.replace(" ", "▁")
    lengths = sorted({len(piece) for piece in logp} | {1})
    cost = {piece: -Fraction(float(value)) for piece, value in logp.items()}

    def leg(start, stop):
        unknown = -Fraction(float(unk_logp)) if stop == start + 1 else None
        return cost.get(text[start:stop], unknown)

    best, settled = {len(text): (Fraction(0), 0)}, set()
    heap = [(Fraction(0), 0, len(text))]
    while heap:
        total, count, stop = heapq.heappop(heap)
        if stop in settled:
            continue
        settled.add(stop)
        for start in (stop - n for n in lengths if n <= stop):
            price = leg(start, stop)
            if price is not None and (start not in best or (total + price, count + 1) < best[start]):
                best[start] = (total + price, count + 1)
                heapq.heappush(heap, (*best[start], start))
    pieces, start = [], 0
    while start < len(text):
        for stop in (start + n for n in lengths):
            price = leg(start, stop) if stop in best else None
            if price is not None and (best[stop][0] + price, best[stop][1] + 1) == best[start]:
                pieces.append(text[start:stop])
                start = stop
                break
    return tuple(pieces)


@right("viterbi_unigram", uses="F1 F2")
def forwards_with_whole_lists(text, logp, unk_logp):
    """From the left, comparing whole lists; a tuple comes back."""
    text = "▁" + "▁".join(text.split(" "))
    lengths = sorted({1, *map(len, logp)})
    best = {0: (0.0, 0, None)}

    def cut(end):
        pieces = []
        while end:
            start = best[end][2]
            pieces.append(text[start:end])
            end = start
        return pieces[::-1]

    for end in range(1, len(text) + 1):
        winner, top = None, None
        for n in lengths:
            piece = text[max(0, end - n) : end]
            if len(piece) < n or not (piece in logp or n == 1):
                continue
            value, count, _ = best[end - n]
            key = (value + (logp[piece] if piece in logp else unk_logp), -count - 1)
            if (
                winner is None
                or key > top
                or (key == top and [*cut(end - n), piece] < [*cut(winner), text[winner:end]])
            ):
                winner, top = end - n, key
        best[end] = (top[0], -top[1], winner)
    return tuple(cut(len(text)))


# --- unigram_em_step --------------------------------------------------------------------------------------


@wrong(
    "unigram_em_step",
    "You count the pieces of the best segmentation only, so the log-likelihood can fall from step to "
    "step. Every segmentation counts, weighted by its probability. Use expected counts, not the best "
    "path. Look at rule R3.",
)
def best_path_only(words, logp):
    longest, counts, loglik = max(map(len, logp)), dict.fromkeys(logp, 0.0), 0.0
    for word, times in words.items():
        alpha, best = [0.0], [(0.0, [])]
        for end in range(1, len(word) + 1):
            spans = [(s, word[s:end]) for s in range(max(0, end - longest), end) if word[s:end] in logp]
            values = [alpha[s] + logp[piece] for s, piece in spans]
            top = max(values, default=-math.inf)
            alpha.append(top + math.log(sum(math.exp(v - top) for v in values)) if top > -math.inf else top)
            best.append(
                max(((best[s][0] + logp[p], [*best[s][1], p]) for s, p in spans), default=(-math.inf, []))
            )
        if alpha[-1] == -math.inf:
            raise ValueError("no segmentation")
        loglik += times * alpha[-1]
        for piece in best[-1][1]:
            counts[piece] += times
    kept = {p: max(c, 1e-12) for p, c in counts.items() if c >= 1e-12 or len(p) == 1}
    total = sum(kept.values())
    return {p: math.log(c / total) for p, c in kept.items()}, loglik


@wrong(
    "unigram_em_step",
    "Each different word counts once, however often it occurs. Multiply its expected counts and its log-"
    "probability by the number in `words`. Look at rules R1 and R3.",
)
def words_weigh_the_same(words, logp):
    expected, loglik = dict.fromkeys(logp, 0.0), 0.0
    longest = max(map(len, logp))
    for word in words:
        n = len(word)
        spans = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in logp]
        alpha, beta = [0.0] + [-math.inf] * n, [-math.inf] * n + [0.0]

        def add(a, b):
            return max(a, b) + math.log1p(math.exp(-abs(a - b))) if min(a, b) > -math.inf else max(a, b)

        for i, j in sorted(spans, key=lambda s: s[1]):
            alpha[j] = add(alpha[j], alpha[i] + logp[word[i:j]])
        for i, j in sorted(spans, key=lambda s: -s[0]):
            beta[i] = add(beta[i], beta[j] + logp[word[i:j]])
        if alpha[n] == -math.inf:
            raise ValueError("no segmentation")
        loglik += alpha[n]
        for i, j in spans:
            expected[word[i:j]] += math.exp(alpha[i] + logp[word[i:j]] + beta[j] - alpha[n])
    kept = {p: max(c, 1e-12) for p, c in expected.items() if c >= 1e-12 or len(p) == 1}
    total = sum(kept.values())
    return {p: math.log(c / total) for p, c in kept.items()}, loglik


@wrong(
    "unigram_em_step",
    "A character that this text does not use is gone from your table, and tomorrow a word with it cannot "
    "be cut any more. Single characters stay, with a count of 1e-12. Look at rule R4.",
)
def unused_characters_dropped(words, logp):
    expected, loglik = dict.fromkeys(logp, 0.0), 0.0
    longest = max(map(len, logp))
    for word, times in words.items():
        n = len(word)
        spans = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in logp]
        alpha, beta = [0.0] + [-math.inf] * n, [-math.inf] * n + [0.0]

        def add(a, b):
            return max(a, b) + math.log1p(math.exp(-abs(a - b))) if min(a, b) > -math.inf else max(a, b)

        for i, j in sorted(spans, key=lambda s: s[1]):
            alpha[j] = add(alpha[j], alpha[i] + logp[word[i:j]])
        for i, j in sorted(spans, key=lambda s: -s[0]):
            beta[i] = add(beta[i], beta[j] + logp[word[i:j]])
        if alpha[n] == -math.inf:
            raise ValueError("no segmentation")
        loglik += times * alpha[n]
        for i, j in spans:
            expected[word[i:j]] += times * math.exp(alpha[i] + logp[word[i:j]] + beta[j] - alpha[n])
    kept = {p: c for p, c in expected.items() if c >= 1e-12}
    total = sum(kept.values())
    return {p: math.log(c / total) for p, c in kept.items()}, loglik


@wrong(
    "unigram_em_step",
    "The probability of a long word is smaller than the smallest float, so you get 0 and its log fails. "
    "Add logs (with log-sum-exp), or rescale on the way. Look at rule R6.",
)
def probabilities_underflow(words, logp):
    p = {piece: math.exp(value) for piece, value in logp.items()}
    expected, loglik = dict.fromkeys(logp, 0.0), 0.0
    longest = max(map(len, logp))
    for word, times in words.items():
        n = len(word)
        spans = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in p]
        alpha, beta = [1.0] + [0.0] * n, [0.0] * n + [1.0]
        for i, j in sorted(spans, key=lambda s: s[1]):
            alpha[j] += alpha[i] * p[word[i:j]]
        for i, j in sorted(spans, key=lambda s: -s[0]):
            beta[i] += beta[j] * p[word[i:j]]
        if alpha[n] == 0:
            raise ValueError("no segmentation")
        loglik += times * math.log(alpha[n])
        for i, j in spans:
            expected[word[i:j]] += times * alpha[i] * p[word[i:j]] * beta[j] / alpha[n]
    kept = {q: max(c, 1e-12) for q, c in expected.items() if c >= 1e-12 or len(q) == 1}
    total = sum(kept.values())
    return {q: math.log(c / total) for q, c in kept.items()}, loglik


@wrong(
    "unigram_em_step",
    "Your expected counts are not divided by the probability of the word: each word must hand out exactly"
    " as many pieces as its segmentations have on average. Look at rule R3.",
)
def not_divided_by_the_word(words, logp):
    p = {piece: math.exp(value) for piece, value in logp.items()}
    expected, loglik = dict.fromkeys(logp, 0.0), 0.0
    longest = max(map(len, logp))
    for word, times in words.items():
        n = len(word)
        spans = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in p]
        alpha, beta = [1.0] + [0.0] * n, [0.0] * n + [1.0]
        for i, j in sorted(spans, key=lambda s: s[1]):
            alpha[j] += alpha[i] * p[word[i:j]]
        for i, j in sorted(spans, key=lambda s: -s[0]):
            beta[i] += beta[j] * p[word[i:j]]
        if alpha[n] == 0:
            raise ValueError("no segmentation")
        loglik += times * math.log(alpha[n])
        for i, j in spans:
            expected[word[i:j]] += times * alpha[i] * p[word[i:j]] * beta[j]
    kept = {q: max(c, 1e-12) for q, c in expected.items() if c >= 1e-12 or len(q) == 1}
    total = sum(kept.values())
    return {q: math.log(c / total) for q, c in kept.items()}, loglik


@wrong(
    "unigram_em_step",
    "Pieces that no segmentation uses stay in your table. A piece of two or more characters with a count "
    "below 1e-12 is dropped; only single characters stay. Look at rule R4.",
)
def unused_pieces_stay(words, logp):
    expected, loglik = dict.fromkeys(logp, 0.0), 0.0
    longest = max(map(len, logp))
    for word, times in words.items():
        n = len(word)
        spans = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in logp]
        alpha, beta = [0.0] + [-math.inf] * n, [-math.inf] * n + [0.0]

        def add(a, b):
            return max(a, b) + math.log1p(math.exp(-abs(a - b))) if min(a, b) > -math.inf else max(a, b)

        for i, j in sorted(spans, key=lambda s: s[1]):
            alpha[j] = add(alpha[j], alpha[i] + logp[word[i:j]])
        for i, j in sorted(spans, key=lambda s: -s[0]):
            beta[i] = add(beta[i], beta[j] + logp[word[i:j]])
        if alpha[n] == -math.inf:
            raise ValueError("no segmentation")
        loglik += times * alpha[n]
        for i, j in spans:
            expected[word[i:j]] += times * math.exp(alpha[i] + logp[word[i:j]] + beta[j] - alpha[n])
    kept = {p: max(c, 1e-12) for p, c in expected.items()}
    total = sum(kept.values())
    return {p: math.log(c / total) for p, c in kept.items()}, loglik


@right("unigram_em_step", uses="F1 F2")
def walk_of_conditional_probabilities(words, logp):
    """Only beta, as (mantissa, exponent); then the word is walked through from the left, and the expected
    visits of each place are handed on: p(u) beta_j / beta_i is the probability of the next piece.
    """
    expected, logliks = dict.fromkeys(logp, 0.0), []
    longest = max(map(len, logp))
    for word, times in words.items():
        n = len(word)
        beta = [(0.0, 0)] * n + [(0.5, 1)]
        stops = [[j for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in logp] for i in range(n)]
        for i in reversed(range(n)):
            terms = [(math.exp(logp[word[i:j]]) * beta[j][0], beta[j][1]) for j in stops[i] if beta[j][0]]
            if terms:
                top = max(exponent for _, exponent in terms)
                mantissa, more = math.frexp(math.fsum(math.ldexp(m, e - top) for m, e in terms))
                beta[i] = (mantissa, top + more)
        if not beta[0][0]:
            raise ValueError("no segmentation")
        logliks.append(times * (math.log(beta[0][0]) + beta[0][1] * math.log(2)))
        visits = [1.0] + [0.0] * n
        for i in range(n):
            for j in stops[i]:
                if visits[i] and beta[j][0]:
                    ratio = math.ldexp(beta[j][0] / beta[i][0], beta[j][1] - beta[i][1])
                    share = visits[i] * math.exp(logp[word[i:j]]) * ratio
                    visits[j] += share
                    expected[word[i:j]] += times * share
    kept = {p: max(c, 1e-12) for p, c in sorted(expected.items()) if len(p) == 1 or c >= 1e-12}
    total = math.fsum(kept.values())
    return [{p: math.log(c) - math.log(total) for p, c in kept.items()}, math.fsum(logliks)]


@right("unigram_em_step", uses="F1 F2")
def rescaled_probabilities(words, logp):
    """Probabilities, with a scale kept beside them so that nothing underflows; a list comes back."""
    p = {piece: math.exp(value) for piece, value in logp.items()}
    longest = max(map(len, p))
    expected, loglik = Counter(), 0.0

    def sums(word):
        """alpha as (mantissa, exponent) pairs: the sum of all ways to form word[:i]"""
        alpha = [(1.0, 0)]
        for end in range(1, len(word) + 1):
            terms = [
                (alpha[s][0] * p[word[s:end]], alpha[s][1])
                for s in range(max(0, end - longest), end)
                if word[s:end] in p
            ]
            top = max((e for m, e in terms if m), default=0)
            mantissa, exponent = math.frexp(math.fsum(math.ldexp(m, max(e - top, -2000)) for m, e in terms))
            alpha.append((mantissa, exponent + top))
        return alpha

    def backwards(word):
        beta = [(1.0, 0)]
        for start in range(len(word) - 1, -1, -1):
            terms = []
            for end in range(start + 1, min(len(word), start + longest) + 1):
                if word[start:end] in p:
                    m, e = beta[len(word) - end]
                    terms.append((m * p[word[start:end]], e))
            top = max((e for m, e in terms if m), default=0)
            mantissa, exponent = math.frexp(math.fsum(math.ldexp(m, max(e - top, -2000)) for m, e in terms))
            beta.append((mantissa, exponent + top))
        return beta[::-1]

    for word, times in words.items():
        alpha, beta = sums(word), backwards(word)
        whole, scale = alpha[-1]
        if not whole:
            raise ValueError("no segmentation")
        loglik += times * (math.log(whole) + scale * math.log(2))
        for start in range(len(word)):
            for end in range(start + 1, min(len(word), start + longest) + 1):
                piece = word[start:end]
                if piece in p:
                    m = alpha[start][0] * p[piece] * beta[end][0] / whole
                    expected[piece] += times * math.ldexp(
                        m, max(alpha[start][1] + beta[end][1] - scale, -2000)
                    )
    kept = {}
    for piece in logp:
        if len(piece) == 1:
            kept[piece] = max(1e-12, expected[piece])
        elif expected[piece] >= 1e-12:
            kept[piece] = expected[piece]
    total = math.fsum(kept.values())
    return [{piece: math.log(count) - math.log(total) for piece, count in sorted(kept.items())}, loglik]


@right("unigram_em_step", uses="F2")
def recursion_free_logaddexp(words, logp):
    """Normalises the table once more on entry, which changes nothing, and adds logs two at a time."""
    shift = math.log(math.fsum(math.exp(v) for v in logp.values()))
    table = {piece: value - shift for piece, value in logp.items()}

    def add(a, b):
        low, high = sorted((a, b))
        return high if low == -math.inf else high + math.log1p(math.exp(low - high))

    counts, likelihood = defaultdict(float), 0.0
    for word, times in words.items():
        arcs = (
            [(i, j, word[i:j]) for j in range(1, len(word) + 1) for i in range(j) if word[i:j] in table]
            if len(word) < 50
            else [
                (i, j, word[i:j])
                for j in range(1, len(word) + 1)
                for i in range(max(0, j - max(map(len, table))), j)
                if word[i:j] in table
            ]
        )
        ahead, back = {0: 0.0}, {len(word): 0.0}
        for i, j, piece in arcs:
            ahead[j] = add(ahead.get(j, -math.inf), ahead.get(i, -math.inf) + table[piece])
        for i, j, piece in sorted(arcs, reverse=True):
            back[i] = add(back.get(i, -math.inf), back.get(j, -math.inf) + table[piece])
        total = ahead.get(len(word), -math.inf)
        if total == -math.inf:
            raise ValueError("no segmentation")
        likelihood += total * times
        for i, j, piece in arcs:
            log_share = ahead.get(i, -math.inf) + table[piece] + back.get(j, -math.inf) - total
            if log_share > -700:
                counts[piece] += times * math.exp(log_share)
    kept = {p: (counts[p] if counts[p] > 1e-12 else 1e-12) for p in logp if len(p) == 1 or counts[p] >= 1e-12}
    whole = sum(kept.values())
    return {p: math.log(c / whole) for p, c in kept.items()}, likelihood


# --- prune ------------------------------------------------------------------------------------------------


@wrong(
    "prune",
    "You drop single characters, too. Without them there are words no segmentation can form. They stay, "
    "even where `keep` is smaller than their number. Look at rule R4.",
)
def drops_characters(logp, words, keep):
    longest = max(map(len, logp))

    def cut(text, without=None):
        best = [(0.0, 0, [])]
        for end in range(1, len(text) + 1):
            options = []
            for start in range(max(0, end - longest), end):
                piece = text[start:end]
                if piece in logp and piece != without and best[start]:
                    cost, count, pieces = best[start]
                    options.append((cost - logp[piece], count + 1, [*pieces, piece]))
            best.append(min(options, default=None))
        return best[-1]

    used = Counter()
    for word, times in words.items():
        for piece in cut(word)[2]:
            used[piece] += times
    loss = {}
    for piece, value in logp.items():
        other = cut(piece, without=piece)
        loss[piece] = (
            used[piece] * (value + other[0]) if other else math.inf * used[piece] if used[piece] else 0.0
        )
    order = sorted(loss, key=lambda p: (loss[p], -len(p), p))
    gone = set(order[: max(0, len(logp) - keep)])
    return {p: v for p, v in logp.items() if p not in gone}


@wrong(
    "prune",
    "You drop the least likely pieces. An unlikely piece may be needed, a likely one may be easy to "
    "replace: what counts is how much likelihood is lost without it. Look at rule R2.",
)
def drops_the_least_likely(logp, words, keep):
    order = sorted((p for p in logp if len(p) > 1), key=lambda p: (logp[p], -len(p), p))
    gone = set(order[: max(0, len(logp) - keep)])
    return {p: v for p, v in logp.items() if p not in gone}


@wrong(
    "prune",
    "Your loss does not depend on how often a piece is used: one use of an expensive piece weighs more "
    "than a thousand uses of a cheap one. Multiply by its count. Look at rule R2.",
)
def loss_without_the_count(logp, words, keep):
    longest = max(map(len, logp))

    def cut(text, without=None):
        best = [(0.0, 0, [])]
        for end in range(1, len(text) + 1):
            options = []
            for start in range(max(0, end - longest), end):
                piece = text[start:end]
                if piece in logp and piece != without and best[start]:
                    cost, count, pieces = best[start]
                    options.append((cost - logp[piece], count + 1, [*pieces, piece]))
            best.append(min(options, default=None))
        return best[-1]

    loss = {}
    for piece, value in logp.items():
        if len(piece) > 1:
            other = cut(piece, without=piece)
            loss[piece] = value + other[0] if other else math.inf
    order = sorted(loss, key=lambda p: (loss[p], -len(p), p))
    gone = set(order[: max(0, len(logp) - keep)])
    return {p: v for p, v in logp.items() if p not in gone}


@wrong(
    "prune",
    "You count the kept pieces without the single characters, so too many stay. `keep` is the number of "
    "all pieces. Look at rule R4.",
)
def keep_without_characters(logp, words, keep):
    longest = max(map(len, logp))

    def cut(text, without=None):
        best = [(0.0, 0, [])]
        for end in range(1, len(text) + 1):
            options = []
            for start in range(max(0, end - longest), end):
                piece = text[start:end]
                if piece in logp and piece != without and best[start]:
                    cost, count, pieces = best[start]
                    options.append((cost - logp[piece], count + 1, [*pieces, piece]))
            best.append(min(options, default=None))
        return best[-1]

    used = Counter()
    for word, times in words.items():
        for piece in cut(word)[2]:
            used[piece] += times
    loss = {}
    for piece, value in logp.items():
        if len(piece) > 1:
            other = cut(piece, without=piece)
            loss[piece] = used[piece] * (value + other[0]) if other else math.inf if used[piece] else 0.0
    order = sorted(loss, key=lambda p: (loss[p], -len(p), p))
    gone = set(order[: max(0, len(order) - keep)])
    return {p: v for p, v in logp.items() if p not in gone}


@wrong(
    "prune",
    "You normalise the table that is left. The values come back unchanged; making them sum to one again "
    "is left to the caller. Look at rule R5.",
)
def normalises_what_is_left(logp, words, keep):
    longest = max(map(len, logp))

    def cut(text, without=None):
        best = [(0.0, 0, [])]
        for end in range(1, len(text) + 1):
            options = []
            for start in range(max(0, end - longest), end):
                piece = text[start:end]
                if piece in logp and piece != without and best[start]:
                    cost, count, pieces = best[start]
                    options.append((cost - logp[piece], count + 1, [*pieces, piece]))
            best.append(min(options, default=None))
        return best[-1]

    used = Counter()
    for word, times in words.items():
        for piece in cut(word)[2]:
            used[piece] += times
    loss = {}
    for piece, value in logp.items():
        if len(piece) > 1:
            other = cut(piece, without=piece)
            loss[piece] = used[piece] * (value + other[0]) if other else math.inf if used[piece] else 0.0
    order = sorted(loss, key=lambda p: (loss[p], -len(p), p))
    gone = set(order[: max(0, len(logp) - keep)])
    left = {p: v for p, v in logp.items() if p not in gone}
    whole = math.log(sum(math.exp(v) for v in left.values()))
    return {p: v - whole for p, v in left.items()}


@wrong(
    "prune",
    "You value a piece by what its single characters would cost. Other pieces of the table may write the "
    "string for less: search the best segmentation without the piece. Look at rule R2.",
)
def replaced_by_characters(logp, words, keep):
    def cut(text):
        best = [(0.0, 0, [])]
        for start in reversed(range(len(text))):
            options = []
            for stop in range(start + 1, len(text) + 1):
                piece, rest = text[start:stop], best[len(text) - stop]
                if piece in logp and rest:
                    options.append((rest[0] - logp[piece], rest[1] + 1, [piece, *rest[2]]))
            best.append(min(options, default=None))
        return best[-1][2]

    used = Counter()
    for word, times in words.items():
        for piece in cut(word):
            used[piece] += times
    loss = {}
    for piece, value in logp.items():
        if len(piece) > 1:
            letters = sum(logp.get(letter, -math.inf) for letter in piece)
            loss[piece] = used[piece] * (value - letters) if used[piece] else 0.0
    order = sorted(loss, key=lambda p: (loss[p], -len(p), p))
    gone = set(order[: max(0, len(logp) - keep)])
    return {p: v for p, v in logp.items() if p not in gone}


@right("prune", uses="F1")
def one_piece_at_a_time(logp, words, keep):
    """From the right, cached by text, dropping one piece after the other from a heap."""
    import functools
    import heapq

    table = dict(logp)

    @functools.cache
    def best(text, forbidden):
        """(cost, number of pieces, pieces) as tuples; None if there is none"""
        if not text:
            return (0.0, 0, ())
        found = None
        for n in range(1, len(text) + 1):
            head = text[:n]
            if head in table and head != forbidden:
                tail = best(text[n:], forbidden)
                if tail is not None:
                    option = (tail[0] - table[head], tail[1] + 1, (head, *tail[2]))
                    found = option if found is None else min(found, option)
        return found

    used = defaultdict(int)
    for word, times in words.items():
        for piece in best(word, None)[2]:
            used[piece] += times
    queue = []
    for piece in table:
        if len(piece) == 1:
            continue
        instead = best(piece, piece)
        if used[piece] == 0:
            loss = 0.0
        elif instead is None:
            loss = math.inf
        else:
            loss = used[piece] * (table[piece] + instead[0])
        heapq.heappush(queue, (loss, -len(piece), piece))
    left = dict(logp)
    while queue and len(left) > keep:
        del left[heapq.heappop(queue)[2]]
    return left


# --- token_stats ------------------------------------------------------------------------------------------


@wrong(
    "token_stats",
    "You divide characters by tokens. An é has two bytes and an emoji four: count `text.encode()`. Look "
    "at rule R1.",
)
def characters_not_bytes(encode, texts):
    stats = {}
    for name, text in texts.items():
        lengths = [len(encode(word)) for word in text.split()]
        n = len(lengths)
        stats[name] = {
            "bytes_per_token": len(text) / len(encode(text)) if n else 0.0,
            "tokens_per_word": sum(lengths) / n if n else 0.0,
            "split_rate": sum(k > 1 for k in lengths) / n if n else 0.0,
        }
    return stats


@wrong(
    "token_stats",
    "You divide the tokens of the whole text by its words, so blanks between words count as well. Encode "
    "each word alone. Look at rule R2.",
)
def tokens_of_the_whole_text(encode, texts):
    stats = {}
    for name, text in texts.items():
        lengths = [len(encode(word)) for word in text.split()]
        n = len(lengths)
        stats[name] = {
            "bytes_per_token": len(text.encode()) / len(encode(text)) if n else 0.0,
            "tokens_per_word": len(encode(text)) / n if n else 0.0,
            "split_rate": sum(k > 1 for k in lengths) / n if n else 0.0,
        }
    return stats


@wrong(
    "token_stats",
    "A text without words makes you divide by zero. It has three zeros. Look at rule R4.",
)
def divides_by_zero(encode, texts):
    stats = {}
    for name, text in texts.items():
        lengths = [len(encode(word)) for word in text.split()]
        stats[name] = {
            "bytes_per_token": len(text.encode()) / len(encode(text)),
            "tokens_per_word": sum(lengths) / len(lengths),
            "split_rate": sum(k > 1 for k in lengths) / len(lengths),
        }
    return stats


@wrong(
    "token_stats",
    "You count every different word once. A word that occurs three times is read three times: count "
    "occurrences. Look at rules R2 and R3.",
)
def different_words_only(encode, texts):
    stats = {}
    for name, text in texts.items():
        lengths = [len(encode(word)) for word in set(text.split())]
        n = len(lengths)
        stats[name] = {
            "bytes_per_token": len(text.encode()) / len(encode(text)) if n else 0.0,
            "tokens_per_word": sum(lengths) / n if n else 0.0,
            "split_rate": sum(k > 1 for k in lengths) / n if n else 0.0,
        }
    return stats


@wrong(
    "token_stats",
    "You put a blank in front of each word before you encode it, so other tokens are counted. Encode the "
    "word alone, as `text.split()` gives it. Look at rule R2.",
)
def blank_in_front(encode, texts):
    stats = {}
    for name, text in texts.items():
        lengths = [len(encode(" " + word)) for word in text.split()]
        n = len(lengths)
        stats[name] = {
            "bytes_per_token": len(text.encode()) / len(encode(text)) if n else 0.0,
            "tokens_per_word": sum(lengths) / n if n else 0.0,
            "split_rate": sum(k > 1 for k in lengths) / n if n else 0.0,
        }
    return stats


@right("token_stats", uses="F1")
def counters_and_loops(encode, texts):
    """Each different word is encoded once and weighted by its count."""
    result = dict.fromkeys(texts)
    for name in texts:
        words = Counter(texts[name].split())
        total = sum(words.values())
        tokens = split = 0
        for word, times in words.items():
            length = len(list(encode(word)))
            tokens += times * length
            split += times if length >= 2 else 0
        if total == 0:
            result[name] = {"split_rate": 0.0, "bytes_per_token": 0.0, "tokens_per_word": 0.0}
            continue
        size = len(bytes(texts[name], "utf-8"))
        result[name] = {
            "split_rate": split / total,
            "bytes_per_token": size / len(encode(texts[name])),
            "tokens_per_word": tokens / total,
        }
    return result


# Mutants of the solutions that no test can tell from them, and why.
EQUIVALENT = {
    "train_bpe": {
        "longest_first = sorted(special, key=len, reverse=True) => longest_first = sorted(special, "
        "reverse=True)": (
            "Of two specials that begin at the same place the longer one is also the greater one."
        ),
    },
    "BPETokenizer": {
        "self.vocab = dict(vocab) => self.vocab = vocab": (
            "The contract says nothing of tables that are changed after they were handed over."
        ),
        "longest_first = sorted(special, key=len, reverse=True) => longest_first = sorted(special, "
        "reverse=True)": (
            "Of two specials that begin at the same place the longer one is also the greater one."
        ),
        "if word not in self.known: => if True:": ("What is remembered only saves work (F3)."),
    },
    "viterbi_unigram": {
        "for stop in range(start + 1, min(start + longest, len(text)) + 1): => for stop in "
        "range(1, min(start + longest, len(text)) + 1):": (
            "Before `start + 1` the pieces are empty, which is no key and no character: only more work."
        ),
        "longest = max(map(len, logp), default=1) => longest = max(map(len, logp), default=2)": (
            "An empty table has no piece of two characters either."
        ),
        "best = [(0.0, 0, len(text))] * (len(text) + 1) => best = [(1.0, 0, len(text))] * (len(text) + 1)": (
            "Every score is shifted by the same number; the order stays."
        ),
        "best = [(0.0, 0, len(text))] * (len(text) + 1) => best = [(0.0, 1, len(text))] * (len(text) + 1)": (
            "Every segmentation gets one piece more; the order stays."
        ),
        "best = [(0.0, 0, len(text))] * (len(text) + 1) => best = [(0.0, 0, len(text))] * (len(text) + 2)": (
            "An entry more that is never read."
        ),
        "for stop in range(start + 1, min(start + longest, len(text)) + 1): => for stop in "
        "range(start, min(start + longest, len(text)) + 1):": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "for stop in range(start + 1, min(start + longest, len(text)) + 1): => for stop in "
        "range(start + 0, min(start + longest, len(text)) + 1):": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "options.append((cost - logp.get(piece, unk_logp), number + 1, stop)) => options.append((cost"
        " - logp.get(piece, unk_logp), number + 2, stop))": (
            "Twice the number of pieces has the same order."
        ),
    },
    "unigram_em_step": {
        "arcs = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j]"
        " in logp] => arcs = [(i, j) for i in range(n) for j in range(i, min(n, i + longest) + 1) if "
        "word[i:j] in logp]": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "arcs = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j]"
        " in logp] => arcs = [(i, j) for i in range(n) for j in range(1, min(n, i + longest) + 1) if "
        "word[i:j] in logp]": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "arcs = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j]"
        " in logp] => arcs = [(i, j) for i in range(n) for j in range(i + 0, min(n, i + longest) + 1)"
        " if word[i:j] in logp]": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "alpha, beta = [0.0] + [-math.inf] * n, [-math.inf] * n + [0.0] => alpha, beta = [0.0] + "
        "[math.inf] * n, [-math.inf] * n + [0.0]": ("These entries are all written before they are read."),
        "alpha, beta = [0.0] + [-math.inf] * n, [-math.inf] * n + [0.0] => alpha, beta = [0.0] + "
        "[-math.inf] * n, [math.inf] * n + [0.0]": ("These entries are all written before they are read."),
        "piece: max(count, 1e-12) for piece, count in expected.items() if count >= 1e-12 or "
        "len(piece) == 1 => piece: max(count, 1e-12) for piece, count in expected.items() if (count >"
        " 1e-12) or len(piece) == 1": ("No expected count is surely exactly 1e-12 after rounding."),
        "piece: max(count, 1e-12) for piece, count in expected.items() if count >= 1e-12 or "
        "len(piece) == 1 => piece: max(count, 1e-12) for piece, count in expected.items() if count >= 1e-12 "
        "or (len(piece) <= 1)": "There is no empty piece.",
    },
    "prune": {
        "best: list = [None] * len(text) + [(0.0, 0, 0)] => best: list = [None] * len(text) + [(0.0, "
        "1, 0)]": ("Every segmentation gets one piece more; the order stays."),
        "best: list = [None] * len(text) + [(0.0, 0, 0)] => best: list = [None] * len(text) + [(0.0, "
        "0, 1)]": ("The third entry is never read at the end of the text."),
        "stops = range(start + 1, min(start + longest, len(text)) + 1) => stops = range(start, "
        "min(start + longest, len(text)) + 1)": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "stops = range(start + 1, min(start + longest, len(text)) + 1) => stops = range(1, min(start "
        "+ longest, len(text)) + 1)": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "stops = range(start + 1, min(start + longest, len(text)) + 1) => stops = range(start + 0, "
        "min(start + longest, len(text)) + 1)": (
            "The empty string more that is looked at is no piece; the contract leaves an empty key out."
        ),
        "((best[j][0] - logp[text[start:j]], best[j][1] + 1, j) for j in usable), default=None => "
        "((best[j][0] - logp[text[start:j]], best[j][1] + 2, j) for j in usable), default=None": (
            "Twice the number of pieces has the same order."
        ),
    },
}
