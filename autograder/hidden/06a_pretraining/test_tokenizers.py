"""Hidden tests of the tokenizers notebook: the contract's promises against slow, plain oracles and other
people's tokenizers.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain, pairwise
from pathlib import Path

import pytest

from autograder.submission import observe
from autograder.testing import close, cpu_seconds, exercise, pure, rule

GOLDEN = json.loads((Path(__file__).parent / "golden_tokenizers.json").read_text("utf-8"))
PRETOKEN = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+"
BYTES = {i: bytes([i]) for i in range(256)}
END = "<|end|>"

Pair = tuple[bytes, bytes]


# --- oracles: everything counted anew, everything tried ---------------------------------------------------


def parts(text: str, special: Sequence[str]) -> Iterator[tuple[str, bool]]:
    """(piece, whether it is a special) from left to right; at one place the longest special wins."""
    start = at = 0
    while at < len(text):
        found = max((s for s in special if text.startswith(s, at)), key=len, default="")
        if found:
            yield text[start:at], False
            yield found, True
            start = at = at + len(found)
        else:
            at += 1
    yield text[start:], False


def joined(symbols: list[bytes], pair: Pair) -> list[bytes]:
    out: list[bytes] = []
    at = 0
    while at < len(symbols):
        both = tuple(symbols[at : at + 2]) == pair
        out.append(b"".join(pair) if both else symbols[at])
        at += 2 if both else 1
    return out


@lru_cache(maxsize=200)  # the known wrong variants meet the same texts when a mistake is named
def slow_bpe(text: str, vocab_size: int, special: tuple[str, ...]) -> tuple[list[bytes], list[Pair]]:
    """(tokens after the bytes, merges), with all pairs counted anew before every merge."""
    words: Counter[str] = Counter()
    for piece, is_special in parts(text, special):
        words.update([] if is_special else re.findall(PRETOKEN, piece))
    symbols = {word: [bytes([b]) for b in word.encode()] for word in words}
    merges: list[Pair] = []
    while 256 + len(special) + len(merges) < vocab_size:
        counts: Counter[Pair] = Counter()
        for word, times in words.items():
            for pair in pairwise(symbols[word]):
                counts[pair] += times
        if not counts:
            break
        merges.append(max(counts, key=lambda pair: (counts[pair], pair)))
        symbols = {word: joined(row, merges[-1]) for word, row in symbols.items()}
    return [s.encode() for s in special] + [a + b for a, b in merges], merges


def slow_encode(
    text: str, vocab: dict[int, bytes], merges: list[Pair], special: list[str], pattern: str = PRETOKEN
) -> list[int]:
    """One merge of the lowest rank after the other."""
    ids = {token: i for i, token in vocab.items()}
    out = []
    for piece, is_special in parts(text, special):
        rows = (
            [[piece.encode()]]
            if is_special
            else [[bytes([b]) for b in w.encode()] for w in re.findall(pattern, piece)]
        )
        for row in rows:
            while present := [pair for pair in merges if pair in pairwise(row)]:
                row = joined(row, present[0])
            out += [ids[token] for token in row]
    return out


def segmentations(text: str, known) -> Iterator[list[str]]:
    """Every way to cut the text into pieces for which `known` holds."""
    if not text:
        yield []
    for end in range(1, len(text) + 1):
        if known(text[:end]):
            for rest in segmentations(text[end:], known):
                yield [text[:end], *rest]


def best_segmentation(text: str, logp: dict[str, float], unk: float | None = None) -> list[str]:
    """The best of all: highest sum, then fewest pieces, then the first in the order of lists."""

    def known(piece: str) -> bool:
        return piece in logp or (unk is not None and len(piece) == 1)

    found = ((-sum(logp.get(p, unk) for p in cut), len(cut), cut) for cut in segmentations(text, known))
    return min(found)[2]


def texts(rng, alphabet: str, longest: int, count: int) -> list[str]:
    return [
        "".join(alphabet[i] for i in rng.numpy.integers(len(alphabet), size=rng.integer(1, longest)))
        for _ in range(count)
    ]


def pieces(rng, alphabet: str, count: int, lowest: int = 24) -> dict[str, float]:
    """A random table of pieces up to four characters; all logs are multiples of 1/4."""
    return {piece: -rng.integer(1, lowest) / 4 for piece in texts(rng, alphabet, 5, count)}


# --- train_bpe --------------------------------------------------------------------------------------------


def same_tables(got, tokens: list[bytes], merges: list[Pair]) -> None:
    """Whether `got` is (vocab, merges): the 256 bytes, then `tokens`, and these merges."""
    vocab, found = got
    close(
        [[repr(part) for part in pair] for pair in found],
        [[repr(a), repr(b)] for a, b in merges],
        what="merges",
    )
    wanted = [*BYTES.values(), *tokens]
    close({i: repr(token) for i, token in vocab.items()}, dict(enumerate(map(repr, wanted))), what="vocab")


def learns(submission, text: str, merges: int, special: list[str] | None = None) -> None:
    """Asserts that the learner's tables are those of the slow oracle."""
    special = special or []
    size = 256 + len(special) + merges
    same_tables(submission.train_bpe(text, size, special), *slow_bpe(text, size, tuple(special)))


# CPU time of 64 merges as a multiple of that of one, as the test measures it, in the sandbox: least and
# greatest of 20 seeds on 2 cores that 11 to 15 processes wanted, half of the time two endless loops among
# them. The bar is 8.
#   right: the solution 1.4 to 1.7, heap_with_late_checks 1.0 to 1.2, whole_text_as_linked_list 2.0 to 2.4
#   wrong by its cost: counts_everything_anew 27.0 to 31.9
#   wrong by its tables, whatever the cost: tie_goes_to_the_first_seen 26.9 to 32.5, merges_across_words 22.4
#   to 25.0, specials_take_part 1.3 to 1.6, counts_drift_in_runs 1.4 to 1.9, words_counted_once 20.3 to 26.7
# In between: looking for the pair in every word, 4.3 to 5.9, is accepted; writing every word anew, 15.0 to
# 16.7, is not.


def mostly_quiet(rng) -> tuple[str, str]:
    """(a text of 180 long words that no merge touches and 20 short, frequent ones; the frequent ones alone)

    A pair of small letters occurs about 50 times in it, a pair of capital letters 90 times.
    """
    quiet = ["".join(map(chr, row)) for row in rng.numpy.integers(97, 109, size=(180, 40))]
    frequent: list[str] = []
    while len(frequent) < 20:  # no two have a pair in common, so that ties decide from the first merge on
        word = "".join(chr(65 + i) for i in rng.numpy.permutation(25)[:5]) + "Z"
        if not any(a + b in other for other in frequent for a, b in pairwise(word)):
            frequent.append(word)
    busy = "\n".join(word for word in sorted(frequent) for _ in range(90))
    return "\n".join([*quiet, busy]), busy


@exercise("train_bpe")
class TestTrainBPE:
    @pytest.mark.parametrize(
        "alphabet",
        ["ab", "aaab ", "abcdef gh 12,.\n", "né €漢a "],
        ids=["two letters", "runs", "words and signs", "many scripts"],
    )
    @rule("R1", "R3", "R4", "R5")
    def test_agrees_with_recounting(self, submission, rng, alphabet):
        """On random texts the merges are those one gets by counting all pairs anew every time."""
        for text in texts(rng, alphabet, 120, 6):
            learns(submission, text, rng.integer(1, 40))

    @rule("R4", "R5")
    def test_counts_stay_right_in_runs(self, submission, rng):
        """In texts full of runs like aaaaa and ababab no count drifts away from the truth."""
        for _ in range(8):
            words = [rng.choice(["a", "ab", "aab", "ba"]) * rng.integer(1, 9) for _ in range(12)]
            learns(submission, " ".join(words), 30)

    @rule("R4")
    def test_ties_go_to_the_greatest_pair(self, submission, rng):
        """Of pairs with equal counts the greatest is merged: first parts compared first, as Python
        compares tuples of bytes.
        """
        letters = [rng.choice("abcdefghij") + rng.choice("klmnopqrst") for _ in range(9)]
        learns(submission, "\n".join(letters), 20)
        learns(submission, "ab\nabc\nbc\nabcd\ncd\nbcd\néa\naé\nZa\nza", 30)
        learns(submission, "abcabdabe\nxyzxywxyv", 40)

    @rule("R3")
    def test_pairs_never_cross_a_pretoken(self, submission):
        """Words, numbers, signs and blanks are separate: no merge joins the end of one with the start of
        the next.
        """
        text = "ab12,;ab12,; ab 12 ,;\n\nab12,;  ab12" * 3
        learns(submission, text, 60)

    @rule("R4")
    def test_frequent_words_weigh_more(self, submission):
        """A pair counts once for every occurrence of its word, not once for every different word."""
        learns(submission, "xy " * 30 + "ab abc abd abe abf", 12)

    @rule("R2")
    def test_specials_are_cut_out_first(self, submission, rng):
        """Specials are cut out from left to right, the longest first; nothing is counted in them or merged
        across them.
        """
        special = ["<|a|>", "<|a|><|b|>", "[x+]", "end"]
        for _ in range(6):
            row = [rng.choice([*special, "ab", "abend", " ab", "<|a", "x+", "cd"]) for _ in range(60)]
            learns(submission, "".join(row), 25, special)

    @rule("R2", "R3")
    def test_text_around_a_special_is_cut_alone(self, submission):
        """The texts on the two sides of a special are cut into words separately, so no word spans it."""
        learns(submission, f"low{END}low low{END} low{END}ly" * 4, 8, [END])

    @rule("R1")
    def test_specials_keep_their_order(self, submission):
        """Specials get the ids from 256 on in the order given, whether the text holds them or not."""
        special = ["<|pad|>", "<|a|>", "<|absent|>", "<|ab|>"]
        learns(submission, "hot hat<|a|>hot<|ab|>hat<|pad|>", 6, special)

    @rule("R6")
    def test_stops_when_nothing_is_left(self, submission):
        """It merges pairs that occur once, too, and stops early when every word is one token."""
        learns(submission, "ab abc ab", 500)
        learns(submission, "a b c", 500, ["<|end|>"])
        learns(submission, "", 10, ["<|end|>"])

    @rule("R7")
    def test_no_room_for_merges(self, submission):
        """With just enough room for bytes and specials there are no merges; with less there is a
        ValueError.
        """
        same_tables(submission.train_bpe("abab", 258, ["<|a|>", "<|b|>"]), [b"<|a|>", b"<|b|>"], [])
        with pytest.raises(ValueError):
            submission.train_bpe("abab", 257, ["<|a|>", "<|b|>"])
        with pytest.raises(ValueError):
            submission.train_bpe("abab", 255)

    @rule("R9")
    def test_same_result_twice(self, submission):
        """A second call knows nothing of the first, and the arguments are left alone."""
        want = slow_bpe("banana bandana<|end|>", 270, (END,))
        same_tables(pure(submission.train_bpe, "banana bandana<|end|>", 270, [END]), *want)
        submission.train_bpe("another text, quite another", 280, ["other"])
        same_tables(pure(submission.train_bpe, "banana bandana<|end|>", 270, [END]), *want)

    @rule("R1", "R2", "R3", "R4")
    def test_real_text(self, submission):
        """On a few pages of English it finds the same 50 merges as counting anew."""
        learns(submission, GOLDEN["corpus"][:5000], 50, ["<|endoftext|>"])

    @rule("R8")
    def test_a_merge_costs_what_it_changes(self, submission, rng):
        """Learning 64 merges takes at most 8 times the CPU time of learning one, on texts most words of
        which no merge touches.
        """
        one, many = [], []
        for size, seconds in ((257, one), (320, many), (257, one), (320, many)):
            text, busy = mostly_quiet(rng)  # four different texts: remembering one of them helps nobody
            got, needed = cpu_seconds(submission.train_bpe, text, size)
            want = slow_bpe(busy, size, ())[1]
            close([repr(tuple(pair)) for pair in got[1]], [*map(repr, want)], what="merges")
            seconds.append(needed)
        assert min(many) <= 8 * min(one), "64 merges take more than 8 times as long as one"


# --- BPETokenizer -----------------------------------------------------------------------------------------


def trained(text: str, merges: int, special: list[str]) -> tuple[dict[int, bytes], list[Pair]]:
    tokens, pairs = slow_bpe(text, 256 + len(special) + merges, tuple(special))
    return BYTES | {256 + i: token for i, token in enumerate(tokens)}, pairs


def unicode_text(rng, length: int) -> str:
    """Letters of many scripts, signs, blanks and emoji."""
    ranges = [
        (32, 127),
        (32, 127),
        (97, 105),
        (9, 11),
        (0xC0, 0x17F),
        (0x391, 0x3CA),
        (0x905, 0x93A),
        (0x4E00, 0x4E40),
        (0x1F600, 0x1F640),
    ]
    return "".join(chr(rng.integer(*rng.choice(ranges))) for _ in range(length))


def golden_tables() -> tuple[dict[int, bytes], list[Pair]]:
    """The first merges of GPT-2 and its layout of ids."""
    gpt2 = GOLDEN["gpt2"]
    vocab = {i: bytes.fromhex(token) for i, token in enumerate(gpt2["tokens"])}
    return vocab, [(bytes.fromhex(a), bytes.fromhex(b)) for a, b in gpt2["merges"]]


def watched(submission, lines: list[str]):
    """(an iterator of the lines on the learner's side, the list that grows with each line taken)"""
    taken: list[str] = []

    def read() -> str:
        taken.append(lines[len(taken)] if len(taken) < len(lines) else "")
        return taken[-1]

    tools = submission.itertools
    return tools.takewhile(lambda line: line != "", tools.starmap(read, tools.repeat(()))), taken


def leaving_alone(function, *args):
    """Calls the function and asserts that it changed no argument (`pure` is for numbers, not for bytes)."""
    value, after, _ = observe(function, *args)
    assert after == [*args], "an argument was changed by the call"
    return value


@exercise("BPETokenizer")
class TestBPETokenizer:
    @pytest.mark.parametrize(
        "alphabet", ["ab", "abc  d", "né€漢 a1,\n"], ids=["two letters", "words", "many scripts"]
    )
    @rule("R3", "R4")
    def test_agrees_with_merging_by_rank(self, submission, rng, alphabet):
        """On random texts the ids are those of merging the pair of lowest rank first, again and again."""
        for corpus in texts(rng, alphabet, 150, 4):
            vocab, merges = trained(corpus, 25, [])
            tok = submission.BPETokenizer(vocab, merges)
            for text in texts(rng, alphabet, 30, 8):
                close(tok.encode(text), slow_encode(text, vocab, merges, []), what="ids")

    @rule("R3")
    def test_a_pair_further_left_can_wait(self, submission):
        """The pair of lowest rank is merged first, also where another pair stands to the left of it."""
        vocab, merges = trained("bc\n" * 5 + "ab\n" * 4 + "abc\n" * 3, 3, [])  # bc, then ab, then abc
        tok = submission.BPETokenizer(vocab, merges)
        for text in ("abc", "ababc", "abcab"):
            close(tok.encode(text), slow_encode(text, vocab, merges, []), what="ids")

    @rule("R1", "R2", "R3", "R5")
    def test_agrees_with_other_peoples_tokenizers(self, submission):
        """With GPT-2's first 3,000 merges, its pattern and its ids it gives what tiktoken and tokenizers
        give.
        """
        vocab, merges = golden_tables()
        tok = submission.BPETokenizer(vocab, merges, GOLDEN["gpt2"]["special"], GOLDEN["gpt2"]["pattern"])
        for text, ids in GOLDEN["gpt2"]["ids"].items():
            close(tok.encode(text), ids, what="ids")
            close(tok.decode(ids), text, what="the text")

    @rule("R1")
    def test_ids_come_from_the_vocab(self, submission, rng):
        """The ids are those the vocab says, whatever its layout."""
        vocab, merges = trained("the cat sat on the mat with the hat", 12, [END])
        order = [3 * int(i) + 5 for i in rng.numpy.permutation(len(vocab))]
        moved = {order[i]: token for i, token in vocab.items()}
        tok, text = submission.BPETokenizer(moved, merges, [END]), f"that hat{END}the mat"
        close(tok.encode(text), slow_encode(text, moved, merges, [END]), what="ids")
        close(tok.decode([order[i] for i in slow_encode(text, vocab, merges, [END])]), text, what="the text")

    @rule("R3", "R5")
    def test_round_trip_of_any_text(self, submission, rng):
        """Any text comes back: letters of all scripts, signs, blanks, emoji."""
        vocab, merges = trained(unicode_text(rng, 400), 60, [])
        tok = submission.BPETokenizer(vocab, merges, [])
        for _ in range(8):
            text = unicode_text(rng, rng.integer(1, 60))
            ids = tok.encode(text)
            close(ids, slow_encode(text, vocab, merges, []), what="ids")
            close(tok.decode(ids), text, what="the text")

    @rule("R5")
    def test_any_ids_can_be_decoded(self, submission, rng):
        """Any row of known ids has a text: all bytes in a row, what is no text replaced as Python replaces
        it.
        """
        vocab, merges = trained(unicode_text(rng, 300), 40, [END])
        tok = submission.BPETokenizer(vocab, merges, [END])
        for _ in range(12):
            ids = [rng.integer(0, len(vocab)) for _ in range(rng.integer(2, 15))]
            close(
                tok.decode(ids), b"".join(vocab[i] for i in ids).decode("utf-8", "replace"), what="the text"
            )
        data = unicode_text(rng, 30).encode()
        close(
            tok.decode(list(data[2:-1])),
            data[2:-1].decode("utf-8", "replace"),
            what="the text of bytes cut out",
        )

    @rule("R2")
    def test_longest_special_wins(self, submission, rng):
        """Specials are found from left to right, the longest of those that begin at one place."""
        special = ["<|a|>", "<|a|><|b|>", "[x+]", "|><"]
        vocab, merges = trained("ab abab <| |> x+ end " * 3, 20, special)
        tok = submission.BPETokenizer(vocab, merges, special)
        for _ in range(8):
            text = "".join(rng.choice([*special, "ab", " end", "<|a", "<|", "x+"]) for _ in range(12))
            close(tok.encode(text), slow_encode(text, vocab, merges, special), what="ids")
            close(tok.decode(slow_encode(text, vocab, merges, special)), text, what="the text")

    @rule("R2")
    def test_only_given_specials_are_special(self, submission):
        """Text that looks like a special but was not given as one is cut like any other text."""
        vocab, merges = trained("<|end|> of the end", 10, [])
        tok = submission.BPETokenizer(vocab, merges)
        close(tok.encode(f"the{END}"), slow_encode(f"the{END}", vocab, merges, []), what="ids")

    @rule("R7")
    def test_unknown_id_is_refused(self, submission):
        """An id that the vocab does not have is a ValueError; the others are decoded as ever."""
        tok = submission.BPETokenizer(*trained("abab", 2, []), [])
        close(tok.decode([256, 97]), "aba", what="the text")
        for bad in ([97, 258], [-1], [10_000]):
            with pytest.raises(ValueError):
                tok.decode(bad)

    @rule("R4", "R5", "R6")
    def test_empty_text_and_no_ids(self, submission):
        """No text has no ids, no ids are no text, and a stream of nothing gives nothing."""
        tok = submission.BPETokenizer(*trained("abab", 2, [END]), [END])
        close(
            [len(tok.encode("")), len(tok.encode("abab")), len(tok.encode(END))],
            [0, 1, 1],
            what="numbers of ids",
        )
        close(tok.decode([]), "", what="the text of no ids")
        close(
            [len(list(tok.encode_iter([]))), len(list(tok.encode_iter(["", "abab", ""])))],
            [0, 1],
            what="numbers of ids",
        )

    @rule("R6")
    def test_a_stream_is_encoded_item_by_item(self, submission, rng):
        """encode_iter gives the ids of each item encoded alone, blanks and specials at the borders
        included.
        """
        vocab, merges = trained("  the cat\n\n  sat <| on the mat\n" * 3, 25, [END])
        tok = submission.BPETokenizer(vocab, merges, [END])
        lines = [
            rng.choice(["the cat\n", "\n", "  sat", " on<|e", "nd|> mat", f"{END}\n", ""]) for _ in range(25)
        ]
        want = [i for line in lines for i in slow_encode(line, vocab, merges, [END])]
        close(list(tok.encode_iter(lines)), want, what="ids")

    @rule("R6")
    def test_a_stream_is_read_lazily(self, submission):
        """When it gives an id of item k it has taken at most the items up to k + 2."""
        vocab, merges = trained("one two three four", 6, [])
        tok = submission.BPETokenizer(vocab, merges, [])
        lines = [f"line {n} of the stream\n" for n in range(40)]
        rows = [slow_encode(line, vocab, merges, []) for line in lines]
        for count in (1, len(rows[0]) + 1, sum(map(len, rows[:7])) + 1):
            source, taken = watched(submission, lines)
            close(
                list(submission.itertools.islice(tok.encode_iter(source), count)),
                list(chain(*rows))[:count],
                what="the first ids",
            )
            item = next(k for k in range(len(rows)) if sum(map(len, rows[: k + 1])) >= count)
            assert len(taken) <= item + 3, "it has taken items too far ahead"

    @rule("R8")
    def test_tokenizers_share_nothing(self, submission):
        """Two tokenizers do not disturb each other, and the tables they were made from are left alone."""
        first, second = trained("banana bandana", 8, []), trained("ananas nanny", 8, [])
        one = leaving_alone(submission.BPETokenizer, *first, [])
        other = leaving_alone(submission.BPETokenizer, *second, [])
        for text in ("banana ananas", "nanny bandana", "banana ananas"):
            close(one.encode(text), slow_encode(text, *first, []), what="ids of the first")
            close(other.encode(text), slow_encode(text, *second, []), what="ids of the second")


# --- viterbi_unigram --------------------------------------------------------------------------------------


def marked(text: str) -> str:
    return "▁" + text.replace(" ", "▁")


@exercise("viterbi_unigram")
class TestViterbiUnigram:
    @rule("R1", "R2", "R3", "R4")
    @pytest.mark.parametrize("alphabet", ["ab", "abc ", "▁ab "], ids=["two letters", "words", "marks"])
    def test_best_of_all_segmentations(self, submission, rng, alphabet):
        """On random tables it finds the best of all segmentations, ties settled by the rules."""
        for text in texts(rng, alphabet, 10, 15):
            logp = pieces(rng, alphabet.replace(" ", "▁"), 14)
            close(submission.viterbi_unigram(text, logp, -4.0), best_segmentation(marked(text), logp, -4.0))

    @rule("R4")
    def test_ties_fewer_pieces_then_first_in_order(self, submission, rng):
        """Equal sums: fewer pieces; as many pieces: the list that comes first, compared piece by piece."""
        logp = {"▁": -1.0, "a": -1.0, "aa": -2.0, "aaa": -3.0, "▁a": -2.0, "▁aa": -3.0, "aaaa": -5.0}
        for n in range(1, 10):
            close(
                submission.viterbi_unigram("a" * n, logp, -9.0), best_segmentation("▁" + "a" * n, logp, -9.0)
            )
        logp = dict.fromkeys(("▁", "a", "b", "ab", "ba", "▁a", "▁ab", "aba", "bab"), -1.0)
        for text in texts(rng, "ab", 10, 12):
            close(submission.viterbi_unigram(text, logp, -9.0), best_segmentation(marked(text), logp, -9.0))

    @rule("R2")
    def test_unknown_is_for_unknown_characters_only(self, submission):
        """Only a character without a piece costs unk_logp, even where that would be cheaper; unknown ones
        never join.
        """
        logp = {"▁": -1.0, "a": -8.0, "xy": -2.0, "▁xy": -2.5}
        close(submission.viterbi_unigram("a", logp, -1.0), ["▁", "a"])
        close(submission.viterbi_unigram("xxyzz xy", logp, -1.0), ["▁", "x", "xy", "z", "z", "▁xy"])
        close(submission.viterbi_unigram("xxyzz xy", logp, -0.75), ["▁", "x", "x", "y", "z", "z", "▁xy"])

    @rule("R1")
    def test_only_the_space_is_marked(self, submission):
        """Every U+0020 becomes the mark and one stands in front; tabs, line ends and other blanks stay
        what they are.
        """
        logp = {"▁": -1.0, "a": -1.0, "▁a": -1.5, "▁▁": -1.5}
        close(
            submission.viterbi_unigram("a\ta\n a\u00a0a  a", logp, -3.0),
            ["▁a", "\t", "a", "\n", "▁a", "\u00a0", "a", "▁", "▁a"],
        )
        close(submission.viterbi_unigram(" a ", logp, -3.0), ["▁", "▁a", "▁"])

    @rule("R5")
    def test_empty_text(self, submission):
        """The empty text is the mark alone, whether the table has it or not."""
        close(submission.viterbi_unigram("", {"▁": -2.0, "a": -1.0}, -3.0), ["▁"])
        close(submission.viterbi_unigram("", {}, -3.0), ["▁"])
        close(submission.viterbi_unigram("ab", {}, -3.0), ["▁", "a", "b"])

    @rule("R1", "R3")
    def test_agrees_with_sentencepiece(self, submission):
        """With a table that SentencePiece learned it cuts sentences as SentencePiece does."""
        for sentence, cut in GOLDEN["unigram"]["pieces"].items():
            close(submission.viterbi_unigram(sentence, GOLDEN["unigram"]["logp"], -30.0), cut)

    @rule("R6")
    def test_long_text(self, submission, rng):
        """A text of 5,000 characters is cut as well as a short one."""
        logp = {"▁": -6.0, "▁ab": -4.0, "ab": -3.0, "abc": -3.5, "c": -5.0, "▁abcab": -9.0, "d": -2.0}
        words = {"abc": ["▁", "abc"], "ab": ["▁ab"], "abd": ["▁ab", "d"], "abcab": ["▁abcab"]}
        words = {word: best_segmentation("▁" + word, logp) for word in words}
        row = [rng.choice([*words]) for _ in range(1500)]
        text = " ".join(row)[:5000].rpartition(" ")[0]
        close(
            submission.viterbi_unigram(text, logp, -20.0),
            [piece for word in text.split(" ") for piece in words[word]],
        )

    @rule("R7")
    def test_arguments_are_left_alone(self, submission, rng):
        """The table is not changed, and a second call knows nothing of the first."""
        tables = [pieces(rng, "ab▁", 12), pieces(rng, "ab▁", 12)]
        for logp in (*tables, *tables):
            close(
                pure(submission.viterbi_unigram, "abba ab", logp, -5.0),
                best_segmentation(marked("abba ab"), logp, -5.0),
            )


# --- unigram_em_step --------------------------------------------------------------------------------------


def slow_em(words: dict[str, int], logp: dict[str, float]) -> tuple[dict[str, float], float]:
    """Expected counts from all segmentations of all words."""
    expected, loglik = dict.fromkeys(logp, 0.0), 0.0
    for word, times in words.items():
        cuts = [(math.exp(sum(logp[p] for p in cut)), cut) for cut in segmentations(word, logp.__contains__)]
        total = math.fsum(p for p, _ in cuts)
        loglik += times * math.log(total)
        for p, cut in cuts:
            for piece in cut:
                expected[piece] += times * p / total
    kept = {
        piece: max(count, 1e-12) for piece, count in expected.items() if count >= 1e-12 or len(piece) == 1
    }
    whole = math.fsum(kept.values())
    return {piece: math.log(count / whole) for piece, count in kept.items()}, loglik


def normalised(table: dict[str, float]) -> dict[str, float]:
    whole = math.log(math.fsum(math.exp(v) for v in table.values()))
    return {piece: v - whole for piece, v in table.items()}


def random_model(rng, alphabet: str, count: int) -> tuple[dict[str, int], dict[str, float]]:
    """(words, logp) over an alphabet all of whose characters are pieces"""
    words = {word: rng.integer(1, 30) for word in texts(rng, alphabet, 9, 12)}
    return words, normalised(dict.fromkeys(alphabet, -3.0) | pieces(rng, alphabet, count))


def same_step(got, want, *, atol: float = 1e-6) -> None:
    new, loglik = got
    close(loglik, want[1], rtol=1e-9, what="loglik")
    close(new, want[0], rtol=1e-6, atol=atol, what="new_logp")


@exercise("unigram_em_step")
class TestUnigramEMStep:
    @rule("R1", "R2", "R3", "R5")
    @pytest.mark.parametrize("alphabet", ["ab", "abc", "▁aé"], ids=["two letters", "three letters", "marks"])
    def test_agrees_with_all_segmentations(self, submission, rng, alphabet):
        """On random words the expected counts are those of all segmentations, weighted by their
        probability.
        """
        for _ in range(5):
            words, logp = random_model(rng, alphabet, 10)
            same_step(submission.unigram_em_step(words, logp), slow_em(words, logp))

    @rule("R3", "R5")
    def test_likelihood_never_falls(self, submission, rng):
        """Step after step the log-likelihood rises or stays, and the probabilities sum to one."""
        words, logp = random_model(rng, "abc", 14)
        before = -math.inf
        for _ in range(6):
            want = slow_em(words, logp)
            new, loglik = submission.unigram_em_step(words, logp)
            same_step((new, loglik), want)
            close(math.fsum(math.exp(v) for v in new.values()), 1.0, what="the sum of the probabilities")
            assert loglik >= before - 1e-9 * abs(before), "the likelihood fell"
            before, logp = loglik, new

    @rule("R4")
    def test_unused_pieces_go_and_characters_stay(self, submission):
        """A piece that no segmentation uses is dropped; a character is kept with a count of 1e-12."""
        logp = normalised({"a": -1.0, "b": -1.0, "z": -1.0, "ab": -1.0, "zz": -1.0, "bz": -2.0})
        same_step(submission.unigram_em_step({"ab": 3, "ba": 2}, logp), slow_em({"ab": 3, "ba": 2}, logp))

    @rule("R4")
    def test_rare_pieces_go(self, submission):
        """A longer piece is dropped when its expected count is below 1e-12, however it came about."""
        logp = normalised({"a": -1.0, "b": -1.0, "ab": -45.0, "aa": -20.0})
        same_step(submission.unigram_em_step({"ab": 1, "aab": 1}, logp), slow_em({"ab": 1, "aab": 1}, logp))

    @rule("R4")
    def test_the_border_of_rare(self, submission):
        """With an expected count of 1.5e-12 a longer piece stays, with 0.7e-12 it goes."""
        for count in (1.5e-12, 0.7e-12):
            logp = {"a": math.log(0.5), "b": math.log(0.5), "ab": math.log(0.25 * count)}
            same_step(submission.unigram_em_step({"ab": 1}, logp), slow_em({"ab": 1}, logp))

    @rule("R6")
    def test_long_words_do_not_underflow(self, submission):
        """A word of 2,000 letters, whose probability is no float any more, has a log-likelihood and
        counts.
        """
        logp = {"a": math.log(0.001), "b": math.log(0.999)}
        new, loglik = submission.unigram_em_step({"a" * 2000: 2, "b": 1000}, logp)
        close(loglik, 4000 * math.log(0.001) + 1000 * math.log(0.999), what="loglik")
        close(new, {"a": math.log(0.8), "b": math.log(0.2)}, what="new_logp")

    @rule("R7")
    def test_word_without_a_segmentation(self, submission):
        """A word that the pieces cannot form is a ValueError; one that longer pieces can form is not."""
        logp = {"ab": math.log(0.5), "b": math.log(0.5)}
        same_step(submission.unigram_em_step({"abb": 2}, logp), slow_em({"abb": 2}, logp))
        for bad in ({"ab": 1, "ba": 1}, {"abc": 1}):
            with pytest.raises(ValueError):
                submission.unigram_em_step(bad, logp)

    @rule("R8")
    def test_arguments_are_left_alone(self, submission, rng):
        """Neither the words nor the table are changed, and a second call gives the same."""
        words, logp = random_model(rng, "ab", 8)
        want = slow_em(words, logp)
        same_step(pure(submission.unigram_em_step, words, logp), want)
        same_step(pure(submission.unigram_em_step, words, logp), want)


# --- prune ------------------------------------------------------------------------------------------------


def slow_prune(logp: dict[str, float], words: dict[str, int], keep: int) -> dict[str, float]:
    """The definition: count times what the best segmentation without the piece would cost."""
    used = Counter(
        p for word, times in words.items() for p in best_segmentation(word, logp) for _ in range(times)
    )
    losses = {}
    for piece in logp:
        if len(piece) > 1:
            others = [cut for cut in segmentations(piece, logp.__contains__) if cut != [piece]]
            best = max((sum(logp[p] for p in cut) for cut in others), default=-math.inf)
            losses[piece] = used[piece] * (logp[piece] - best) if used[piece] else 0.0
    order = sorted(losses, key=lambda piece: (losses[piece], -len(piece), piece))
    gone = set(order[: max(0, len(logp) - keep)])
    return {piece: value for piece, value in logp.items() if piece not in gone}


@exercise("prune")
class TestPrune:
    @rule("R1", "R2", "R3", "R4")
    @pytest.mark.parametrize("alphabet", ["ab", "abc"], ids=["two letters", "three letters"])
    def test_agrees_with_the_definition(self, submission, rng, alphabet):
        """On random tables the pieces that cost least are dropped, whatever the number to keep."""
        for _ in range(6):
            words = {word: rng.integer(1, 9) for word in texts(rng, alphabet, 9, 10)}
            logp = dict.fromkeys(alphabet, -3.0) | pieces(rng, alphabet, 14, 40)
            for keep in (len(logp) - 1, len(logp) - 3, len(alphabet) + 2):
                close(submission.prune(logp, words, keep), slow_prune(logp, words, keep), rtol=0, atol=0)

    @rule("R1")
    def test_ties_between_segmentations(self, submission):
        """Of two best ways to write a word the one with fewer pieces counts, then the smaller list."""
        fewer = {"a": -1.0, "b": -4.0, "c": -4.0, "d": -1.0, "ab": -3.0, "cd": -3.0, "bc": -4.0}
        smaller = {"a": -1.0, "b": -3.0, "c": -1.0, "ab": -2.0, "bc": -2.0}
        for logp, word in ((fewer, "abcd"), (smaller, "abc")):
            for keep in (len(logp) - 1, len(logp) - 2):
                got = submission.prune(logp, {word: 2}, keep)
                close(got, slow_prune(logp, {word: 2}, keep), rtol=0, atol=0)

    @rule("R2")
    def test_losses_count_not_probabilities(self, submission):
        """A likely piece that is hardly used goes before an unlikely one that is needed."""
        logp = {"a": -4.0, "b": -4.0, "c": -4.0, "ab": -1.0, "bc": -7.5, "abc": -9.0}
        words = {"ab": 1, "bc": 100}
        for keep in (5, 4):
            close(submission.prune(logp, words, keep), slow_prune(logp, words, keep), rtol=0, atol=0)

    @rule("R3")
    def test_ties_drop_the_longer_then_the_smaller(self, submission):
        """Of equal losses the longer piece goes first, of equal lengths the one that is first in the
        alphabet.
        """
        logp = {
            "a": -1.0,
            "b": -1.0,
            "ab": -3.0,
            "ba": -3.0,
            "bb": -3.0,
            "aba": -4.0,
            "bab": -4.0,
            "abab": -6.0,
        }
        for keep in range(3, 8):
            close(
                submission.prune(logp, {"abba": 3}, keep), slow_prune(logp, {"abba": 3}, keep), rtol=0, atol=0
            )

    @rule("R2")
    def test_needed_pieces_go_last(self, submission):
        """A used piece that nothing else can form is dropped only after all that can be replaced; unused
        ones cost nothing.
        """
        logp = {"a": -1.0, "b": -1.0, "xy": -9.0, "ab": -1.0, "zz": -1.0}
        words = {"xy": 1, "ab": 500}
        for keep in (4, 3, 2):
            close(submission.prune(logp, words, keep), slow_prune(logp, words, keep), rtol=0, atol=0)

    @rule("R4", "R5")
    def test_keep_counts_all_pieces(self, submission):
        """keep counts characters too; if it is no smaller than the table everything stays."""
        logp = {"a": -2.0, "b": -2.0, "ab": -2.25, "ba": -2.5, "aba": -3.0}
        words = {"abaab": 2, "ba": 3}
        for keep in (9, 5, 4, 3, 2, 0):
            close(pure(submission.prune, logp, words, keep), slow_prune(logp, words, keep), rtol=0, atol=0)


# --- token_stats ------------------------------------------------------------------------------------------


def chunks(size: int, extra: int = 0):
    """A tokenizer of `size` bytes per token, with `extra` tokens in front of every text."""

    def encode(text: str) -> list[int]:
        data = text.encode()
        return [7] * extra + [data[i] for i in range(0, len(data), size)]

    return encode


def slow_stats(encode, text: str) -> dict[str, float]:
    words = text.split()
    if not words:
        return {"bytes_per_token": 0.0, "tokens_per_word": 0.0, "split_rate": 0.0}
    lengths = [len(encode(word)) for word in words]
    return {
        "bytes_per_token": len(text.encode()) / len(encode(text)),
        "tokens_per_word": sum(lengths) / len(words),
        "split_rate": sum(n > 1 for n in lengths) / len(words),
    }


@exercise("token_stats")
class TestTokenStats:
    @rule("R1", "R2", "R3")
    @pytest.mark.parametrize("size", [2, 3, 5])
    def test_agrees_with_the_definitions(self, submission, rng, size):
        """On texts in several scripts the three numbers are those of the definitions."""
        samples = {f"text {n}": unicode_text(rng, 80) + " end" for n in range(4)}
        want = {name: slow_stats(chunks(size), text) for name, text in samples.items()}
        close(pure(submission.token_stats, chunks(size), samples), want)

    @rule("R2")
    def test_words_are_encoded_alone(self, submission):
        """Words are encoded one by one, so tokens at their borders count for each of them."""
        samples = {"one": "a bb  ccc\na a", "two": "dddd"}
        want = {name: slow_stats(chunks(2, 1), text) for name, text in samples.items()}
        close(submission.token_stats(chunks(2, 1), samples), want)

    @rule("R2", "R3")
    def test_every_occurrence_counts(self, submission):
        """A word that occurs three times counts three times, in the mean and in the share of split words."""
        samples = {"x": "abcd abcd abcd a", "y": "a a a abcd"}
        want = {name: slow_stats(chunks(3), text) for name, text in samples.items()}
        close(submission.token_stats(chunks(3), samples), want)

    @rule("R1")
    def test_bytes_not_characters(self, submission):
        """Four emoji are sixteen bytes: bytes are counted, not characters, and blanks count as well."""
        samples = {"emoji": "😀😀 😀😀", "blanks": "  a   b  "}
        want = {name: slow_stats(chunks(4), text) for name, text in samples.items()}
        close(submission.token_stats(chunks(4), samples), want)

    @rule("R4")
    def test_texts_without_words(self, submission):
        """No texts give no statistics; a text of blanks alone gives zeros although it has tokens."""
        zeros = dict.fromkeys(("bytes_per_token", "tokens_per_word", "split_rate"), 0.0)
        close(
            submission.token_stats(chunks(2), {"a": "\n\t ", "b": "", "c": "ab"}),
            {"a": zeros, "b": zeros, "c": slow_stats(chunks(2), "ab")},
        )
        close(
            [len(submission.token_stats(chunks(2), {})), len(submission.token_stats(chunks(2), {"c": "ab"}))],
            [0, 1],
            what="numbers of texts",
        )
