"""Visible tests of the tokenizers notebook: the definitions and the worked examples."""

from __future__ import annotations

import math
from pathlib import Path

from autograder.testing import close, exercise, pure, rule

BYTES = {i: bytes([i]) for i in range(256)}
END = "<|end|>"


def same_tables(got, tokens: list[bytes], merges: list[tuple[bytes, bytes]]) -> None:
    """Whether `got` is (vocab, merges): the 256 bytes, then `tokens`, and these merges."""
    vocab, found = got
    close(found, merges, what="merges")
    close(vocab, dict(enumerate([*BYTES.values(), *tokens])), what="vocab")


@exercise("train_bpe")
class TestTrainBPE:
    @rule("R1", "R4")
    def test_worked_example(self, submission):
        """The worked example comes out: four merges, ties going to the greatest pair."""
        merges = [(b"o", b"w"), (b"l", b"ow"), (b" ", b"low"), (b"s", b"t")]
        got = pure(submission.train_bpe, "low low low lower newest widest", 260)
        same_tables(got, [b"ow", b"low", b" low", b"st"], merges)

    @rule("R1", "R2")
    def test_specials_come_before_the_merges(self, submission):
        """A special gets the first id after the bytes, and nothing of it is counted or merged."""
        got = pure(submission.train_bpe, f"low{END}low{END}", 259, [END])
        same_tables(got, [b"<|end|>", b"ow", b"low"], [(b"o", b"w"), (b"l", b"ow")])

    @rule("R4", "R5", "R6")
    def test_runs_are_counted_everywhere_and_merged_from_the_left(self, submission):
        """In aaaa the pair (a, a) counts three times and is merged into aa aa, in aaa into aa a; then pairs
        that occur only once are merged, too.
        """
        merges = [(b"a", b"a"), (b"aa", b"aa"), (b"aa", b"a")]
        got = submission.train_bpe("aaaa aaa", 259)
        same_tables(got, [b"aa", b"aaaa", b"aaa"], merges)

    @rule("R2", "R3", "R4")
    def test_first_merges_of_real_text(self, submission):
        """The first merges of the course's English text are the ones everybody finds."""
        text = (Path(__file__).parent / "data" / "pydocs.txt").read_text("utf-8")[:20_000]
        _, merges = submission.train_bpe(text, 256 + 1 + 12, ["<|endoftext|>"])
        close(merges, PYDOCS_MERGES, what="merges")


PYDOCS_MERGES = [
    *((b" ", b"a"), (b" ", b"t"), (b" ", b" "), (b"h", b"e"), (b"i", b"n"), (b"t", b"e"), (b" t", b"he")),
    *((b"o", b"n"), (b"r", b"e"), (b"m", b"e"), (b"s", b"s"), (b" ", b"i")),
]


@exercise("BPETokenizer")
class TestBPETokenizer:
    # What train_bpe("now cow how lot log", 259, ["<|end|>"]) gives.
    VOCAB = BYTES | {256: b"<|end|>", 257: b"ow", 258: b"lo"}
    MERGES = ((b"o", b"w"), (b"l", b"o"))

    def tokenizer(self, submission):
        return submission.BPETokenizer(self.VOCAB, list(self.MERGES), [END])

    @rule("R3", "R4")
    def test_worked_example(self, submission):
        """The worked example comes out: ow was learned before lo, so low is l + ow."""
        close(self.tokenizer(submission).encode("low lot"), [108, 257, 32, 258, 116], what="ids")

    @rule("R2", "R5")
    def test_specials_are_single_ids(self, submission):
        """A special in the text becomes its one id, and the text around it is cut alone."""
        tok = self.tokenizer(submission)
        close(tok.encode(f"low{END}lot{END}"), [108, 257, 256, 258, 116, 256], what="ids")
        close(tok.decode([108, 257, 256, 258, 116]), f"low{END}lot", what="the text")

    @rule("R5")
    def test_decode_joins_the_bytes_first(self, submission):
        """A letter whose bytes lie in two tokens comes back; half a letter becomes one replacement character."""
        tok = self.tokenizer(submission)
        close(tok.encode("né"), [110, 195, 169], what="ids")
        close(tok.decode([110, 195, 169]), "né", what="the text")
        close(tok.decode([110, 195]), "n�", what="the text of a cut letter")

    @rule("R6")
    def test_encode_iter_gives_the_ids_of_the_lines(self, submission):
        """The ids of a stream are those of its lines, one after the other."""
        ids = self.tokenizer(submission).encode_iter(["low\n", "lot\n"])
        close(list(ids), [108, 257, 10, 258, 116, 10], what="ids")


NEWS = {"▁new": -2.0, "▁news": -5.0, "s": -2.5, "▁": -3.0, "n": -4.0, "e": -4.0, "w": -4.0}


@exercise("viterbi_unigram")
class TestViterbiUnigram:
    @rule("R1", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out: two likely pieces beat one unlikely piece."""
        close(pure(submission.viterbi_unigram, "new news", NEWS, -10.0), ["▁new", "▁new", "s"])

    @rule("R4")
    def test_ties_go_to_fewer_pieces(self, submission):
        """Of two segmentations with the same sum, the one with fewer pieces wins."""
        close(submission.viterbi_unigram("new news", NEWS | {"▁news": -4.5}, -10.0), ["▁new", "▁news"])

    @rule("R2")
    def test_unknown_characters_stand_alone(self, submission):
        """Each character without a piece of its own becomes a piece by itself."""
        got = submission.viterbi_unigram("newts zz", NEWS, -10.0)
        close(got, ["▁new", "t", "s", "▁", "z", "z"])


AB = {"a": math.log(0.25), "b": math.log(0.25), "ab": math.log(0.5)}


@exercise("unigram_em_step")
class TestUnigramEMStep:
    @rule("R1", "R2", "R3", "R5")
    def test_worked_example(self, submission):
        """The worked example comes out: of nine words ab, eight are expected whole and one in letters."""
        new, loglik = pure(submission.unigram_em_step, {"ab": 9}, AB)
        close(new, {"a": math.log(0.1), "b": math.log(0.1), "ab": math.log(0.8)}, what="new_logp")
        close(loglik, 9 * math.log(0.5625), what="loglik")

    @rule("R1", "R3")
    def test_words_count_as_often_as_they_occur(self, submission):
        """A word that occurs three times weighs three times as much."""
        new, loglik = submission.unigram_em_step({"ab": 9, "a": 3, "b": 1}, AB)
        want = {"a": math.log(4 / 14), "b": math.log(2 / 14), "ab": math.log(8 / 14)}
        close(new, want, what="new_logp")
        close(loglik, 9 * math.log(0.5625) + 4 * math.log(0.25), what="loglik")


ABC = {"a": -2.0, "b": -2.0, "c": -3.0, "ab": -2.5, "bc": -4.0, "abc": -5.25}
WORDS = {"ab": 1, "bc": 10, "abc": 44}


@exercise("prune")
class TestPrune:
    @rule("R1", "R2")
    def test_worked_example(self, submission):
        """The worked example comes out: the piece that costs least is dropped first."""
        want = {piece: ABC[piece] for piece in ("a", "b", "c", "bc", "abc")}
        close(pure(submission.prune, ABC, WORDS, 5), want)

    @rule("R4", "R5")
    def test_characters_stay(self, submission):
        """However few pieces are to be kept, the single characters are all there, with their values."""
        close(submission.prune(ABC, WORDS, 1), {"a": -2.0, "b": -2.0, "c": -3.0})


def three_bytes(text: str) -> list[int]:
    """A tokenizer whose tokens are three bytes of the text, the last one fewer."""
    data = text.encode()
    return [int.from_bytes(data[i : i + 3], "big") for i in range(0, len(data), 3)]


@exercise("token_stats")
class TestTokenStats:
    @rule("R1", "R2", "R3")
    def test_worked_example(self, submission):
        """The worked example comes out, in bytes and not in characters."""
        got = pure(submission.token_stats, three_bytes, {"English": "to be or not", "French": "être né"})
        want = {
            "English": {"bytes_per_token": 3.0, "tokens_per_word": 1.0, "split_rate": 0.0},
            "French": {"bytes_per_token": 3.0, "tokens_per_word": 1.5, "split_rate": 0.5},
        }
        close(got, want)

    @rule("R4")
    def test_blank_text_gives_zeros(self, submission):
        """A text without words gives zeros, not an error; the other texts are not disturbed."""
        zeros = {"bytes_per_token": 0.0, "tokens_per_word": 0.0, "split_rate": 0.0}
        got = submission.token_stats(three_bytes, {"none": "", "blank": " \n ", "one": "four"})
        close(
            got,
            {
                "none": zeros,
                "blank": zeros,
                "one": {"bytes_per_token": 2.0, "tokens_per_word": 2.0, "split_rate": 1.0},
            },
        )
