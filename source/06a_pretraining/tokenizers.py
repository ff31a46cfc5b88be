# %% [markdown]
# # Tokenizers
#
# **Goal of the section.** Understand how transformers scale into large language models: what text is for them, how
# they are trained on it, and what decides how good they get. This notebook is about the first step, the one before
# any network: how a text becomes a row of numbers, and back.
#
# **You build** the tokenizer of GPT-2 and its successors: byte-level byte-pair encoding (BPE), first its training,
# then the encoder and decoder; and the search that SentencePiece's *Unigram* tokenizer uses. In the end your own
# class, fed with GPT-2's real vocabulary, cuts twelve languages exactly as GPT-2 does, and you will see what that
# costs whom.
#
# **Topics.** Byte-pair encoding; SentencePiece and the Unigram language model.
#
# **Mathematics used.** Counting; logarithms of probabilities; dynamic programming (best path through a graph); for
# the bonus, expected counts and the EM algorithm.
#
# **Time.** About 100 minutes, the bonus not counted. Plain Python is enough: dictionaries, `bytes`, `re`. No
# exercise uses your answer to another one: if you get stuck, go on and come back.

# %%
import gzip
import itertools
import json
import math
import re
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from autograder import check

# The given pattern that cuts text into pretokens (roughly: words with the blank in front of them).
PRETOKEN = r" ?[A-Za-z]+| ?[0-9]+| ?[^\sA-Za-z0-9]+|\s+"

# %% [markdown]
# ## The story: a model has never seen a letter
#
# A language model computes with vectors. Before it can read your sentence, somebody must cut the sentence into
# units and give each unit a number: the row of a table in which its vector stands. What should the units be?
#
# - **Words** are the obvious answer and a bad one. The table must be finite, but languages are not: tomorrow
#   somebody writes *unfollowable*, *naïve* with or without its dots, *colour*, *tokenizerless*. What is not in the
#   table becomes "unknown", and the model is deaf to it. And *walk*, *walks*, *walked* are three unrelated rows.
# - **Characters** fix that, nearly: Unicode has some 150,000 of them. And texts become long. Attention costs time
#   quadratic in the length, so five times as many units are twenty-five times the work.
# - **Bytes** fix it altogether: any text in any script is a row of numbers from 0 to 255. But texts become longer
#   still.
#
# So one wants something in between, units that are *as long as they are frequent*: whole words where words are
# common, pieces where they are rare, single bytes when all else fails. In 1994 Philip Gage published a small trick
# to compress files: take the most frequent pair of bytes, replace it by a new symbol, repeat. Twenty-two years
# later Sennrich, Haddow and Birch used it to give a translation system an open vocabulary. GPT-2 applied it to raw
# bytes, and so do most large models of today, with small changes. That is the whole idea. The rest of this
# notebook is doing it right.

# %% demo
import matplotlib.pyplot as plt
from IPython.display import HTML, display
from matplotlib.patches import FancyBboxPatch

INK, GREY, BLUE, ORANGE, GREEN, PURPLE = "#1f2937", "#9ca3af", "#2563eb", "#ea580c", "#059669", "#7c3aed"
PASTELS = ("#bfdbfe", "#fed7aa", "#bbf7d0", "#fbcfe8", "#fef08a", "#ddd6fe")
plt.rcParams.update({
    "figure.facecolor": "white", "axes.facecolor": "white", "savefig.facecolor": "white", "figure.dpi": 110,
    "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": GREY, "xtick.color": INK, "ytick.color": INK,
    "font.size": 12, "axes.titlesize": 13, "axes.spines.top": False, "axes.spines.right": False,
})  # fmt: skip


def token_boxes(ax, y, tokens, *, x=0.0, colors=PASTELS, size=13, gap=0.25):
    """A row of tokens as coloured boxes; a blank is drawn as a dot. Gives the x behind the last box."""
    for n, token in enumerate(tokens):
        width = len(token)
        color = colors[n % len(colors)]
        ax.add_patch(
            FancyBboxPatch((x, y - 0.32), width, 0.64, boxstyle="round,pad=0.06", fc=color, ec="none")
        )
        text = token.replace(" ", "·")
        ax.text(x + width / 2, y, text, ha="center", va="center", family="monospace", size=size)
        x += width + gap
    return x


def four_ways_picture():
    sentence = "An unhelpful naïveté"
    gpt2 = ["An", " un", "help", "ful", " na", "ï", "vet", "é"]  # your own class will check this below
    rows = [
        ("words", ["An", "unhelpful", "<unknown>"]),
        ("characters", list(sentence)),
        ("bytes", [f"{b:02x}" for b in sentence.encode()]),
        ("GPT-2", gpt2),
    ]
    _, ax = plt.subplots(figsize=(13, 3.2))
    for n, (name, tokens) in enumerate(rows):
        ax.text(-1, -n, name, ha="right", va="center", weight="bold")
        end = token_boxes(ax, -n, tokens, gap=0.3)
        ax.text(end + 0.4, -n, f"{len(tokens)} tokens", va="center", color="#6b7280")
    ax.set(xlim=(-7, 59), ylim=(-3.6, 0.6))
    ax.axis("off")
    plt.show()


four_ways_picture()

# %% [markdown]
# *Three words, four ways to cut them. A dot is a blank. A list of words had no place for the last one. The letters
# ï and é are one character and two bytes each, `c3 af` and `c3 a9`; GPT-2 has tokens for them.*
#
# What is the price of each way? We count on the text of this notebook: 271 kB of English, an extract of Python's
# own documentation, which the course brings along. Every tenth document is put aside as *new text*; "known" units
# are those that occur in the others.

# %% demo
documents = Path("data/pydocs.txt").read_text("utf-8").split("<|endoftext|>")
new_text = "\n".join(documents[::10])
corpus = "<|endoftext|>".join(document for n, document in enumerate(documents) if n % 10)

cuts = {
    "bytes": lambda text: list(text.encode()),
    "characters": list,
    "words and signs": lambda text: re.findall(r"\w+|[^\w\s]", text),
}
size = len(new_text.encode())
print(
    f"{len(documents)} documents, {len(corpus.encode()):,} bytes to learn from, {size:,} bytes of new text\n"
)
print(f"{'unit':17}{'known units':>12}{'bytes per unit':>16}{'unknown in new text':>21}")
for name, cut in cuts.items():
    units = cut(new_text)
    known = set(range(256)) if name == "bytes" else set(cut(corpus))
    unknown = sum(unit not in known for unit in units) / len(units)
    print(f"{name:17}{len(known):12,}{size / len(units):16.2f}{unknown:21.1%}")

# %% [markdown]
# Words make short texts and leave holes; bytes leave no holes and make long texts. Byte-pair encoding starts from
# the bytes, so it can never meet anything unknown, and then buys shortness, one merge at a time.
#
# ### Two things to know first
#
# **Text is bytes.** A Python `str` is a row of Unicode characters. `text.encode()` turns it into `bytes` by the
# UTF-8 rule: the 128 characters of ASCII take one byte, most accented, Greek and Cyrillic letters take two, most
# others three, most emoji four. `data.decode("utf-8")` goes back, and fails if the bytes are no complete characters,
# unless one says `errors="replace"`: then broken places become the replacement character �.
#
# **Pretokens.** If merges could run over the whole text, the most frequent phrases would become tokens, and
# `dog.`, `dog!` and `dog,` would be three of them. So the text is first cut into *pretokens*, and merges happen
# inside one pretoken only. This notebook uses the pattern `PRETOKEN` from the first cell:
#
# | part of the pattern | what it takes |
# |---|---|
# | ` ?[A-Za-z]+` | English letters, with the one blank in front of them |
# | ` ?[0-9]+` | digits, with the one blank in front of them |
# | ` ?[^\sA-Za-z0-9]+` | signs, and letters of all other scripts, likewise |
# | `\s+` | blanks, tabs and line ends that are left |
#
# The blank belongs to the word *behind* it. So ` low` in the middle of a sentence and `low` at its start are
# different strings; that is how real tokenizers do it, too.

# %% demo
for sample in ("The cat didn't sit,  it\nslept 12 h.", "né à 7 h, naïve"):
    pieces = re.findall(PRETOKEN, sample)
    print(repr(sample), "->", pieces)
    assert "".join(pieces) == sample  # nothing is lost
print()
for letter in "eéΩ漢🙂":
    print(f"{letter}   U+{ord(letter):05X}   {len(letter.encode())} bytes: {letter.encode().hex(' ')}")

# %% [markdown]
# *Look at `né`: for this pattern é is no letter, so the word falls apart before any merge is counted. Whoever
# wrote the pattern thought in English. Keep that in mind for later.*
#
# ## Exercise 1: `train_bpe`
#
# **★★ · about 30 minutes · needs: `Counter`, `re.findall`, `re.split`, `bytes` · roadmap: BPE**
#
# Write each word as a row of bytes, count how often each pair of neighbours occurs, merge the most frequent pair
# everywhere, and begin again:


# %% demo
def merges_picture():
    steps = [  # what was merged, the words after it, and what comes next
        ("", "l o w", "· l o w e r", "· n e w e s t", "· w i d e s t", "o+w occurs 4 times, like l+o: the greater wins"),
        ("ow", "l ow", "· l ow e r", "· n e w e s t", "· w i d e s t", "l+ow occurs 4 times"),
        ("low", "low", "· low e r", "· n e w e s t", "· w i d e s t", "·+low occurs 3 times"),
        ("·low", "low", "·low e r", "· n e w e s t", "· w i d e s t", "s+t occurs twice, like e+s: the greater wins"),
        ("st", "low", "·low e r", "· n e w e st", "· w i d e st", "and so on"),
    ]  # fmt: skip
    _, ax = plt.subplots(figsize=(13, 3.3))
    for n, (merged, *words, note) in enumerate(steps):
        ax.text(-0.8, -n, f"merge {n - 1}" if n else "bytes", ha="right", va="center", weight="bold")
        for x, word in zip((0, 6.5, 17.5, 29.5), words, strict=True):
            tokens = word.split()
            colors = ["#fdba74" if token == merged else "#bfdbfe" for token in tokens]
            token_boxes(ax, -n, tokens, x=x, size=12, gap=0.35, colors=colors)
        ax.text(41.5, -n, note, va="center", color="#6b7280", size=11)
    ax.set(xlim=(-6, 68), ylim=(-4.5, 0.5))
    ax.axis("off")
    plt.show()


merges_picture()

# %% [markdown]
# *The text `low low low lower newest widest` (the word ` low`, with its blank, stands in it twice more). Each line
# shows the words after one more merge, the new token in orange; on the right, why the next pair is taken.*
#
# In a formula: with words $w$ that occur $n_w$ times and are at present the rows of symbols $w_1 w_2 \dots$, the
# count of a pair is
#
# $$c(a, b) = \sum_{w} n_w \cdot \#\{\,i : w_i = a,\; w_{i+1} = b\,\}, \qquad (a^*, b^*) = \operatorname*{arg\,max}_{(a, b)} \; c(a, b).$$
#
# Up to overlaps $c(a, b)$ is the number of tokens that the merge saves: BPE is greedy compression.
#
# **Why it matters.** This loop, run once on some gigabytes, decides for the whole life of a model what it sees:
# which words are one token, how long a text it can read, how much each language pays. Changing it later means
# training the model again.
#
# **Fast enough to enjoy.** Counting all pairs anew for each merge is correct and hopeless: GPT-2 has 50,000
# merges. But a merge changes only the words that hold its pair. Remember for each pair in which words it stands,
# and keep the counts up to date instead of making them again: then a merge costs what it changes. For 1,000 merges
# from the text of this notebook that is one pair looked at instead of sixty, and about a second of waiting. The
# cell after the exercise counts it.
#
# ### Contract
#
# `train_bpe(text, vocab_size, special=())` gives the two tables `(vocab, merges)`.
#
# - **R1** `vocab` is a dict from id to `bytes`: ids 0 to 255 are the single bytes, then come the specials in the
#   given order (as UTF-8), then the merges in the order they were learned, each as its two parts joined. Ids have
#   no gaps. `merges` is the list of pairs `(bytes, bytes)` in the same order.
# - **R2** Before anything is counted, the text is cut at the specials, and these disappear: going from left to
#   right, a special is cut out wherever one begins; of several that begin at the same place the longest is taken.
#   Their characters mean nothing else (`|` or `[` in a special are just signs). The texts between them are treated
#   alone.
# - **R3** Each of these texts is cut with `re.findall(PRETOKEN, ...)`. Pairs are counted, and merged, inside one
#   pretoken only.
# - **R4** The count of a pair is the number of places where its two parts stand side by side, over all *occurrences*
#   of all pretokens; in `aaaa` the pair `(a, a)` counts three times. A part is a byte string, so equal bytes are
#   the same part. The pair with the highest count is merged. Ties: the **greatest** pair, as Python compares
#   tuples of bytes (first parts first).
# - **R5** A merge replaces its pair everywhere, in each pretoken from left to right without overlap: `aaaaa`
#   becomes `aa aa a`.
# - **R6** It stops when `vocab` has `vocab_size` entries, or earlier when no pair is left. A pair that occurs only
#   once is merged, too.
# - **R7** If `vocab_size` is less than `256 + len(special)`, raise `ValueError`. If it is equal, there are no
#   merges.
# - **R8** Work: a merge costs what it changes. In the texts of the test 180 long words are touched by no merge,
#   and 20 short ones share all the merges. Learning 64 merges from such a text may take at most **8 times** the
#   CPU time of learning a single one from another text of the same size (one merge needs one count of everything).
#   Counting anew for each merge takes 27 times as long or more; looking through all words for the pair, and
#   counting only in those that hold it, about 5 times; going straight to these words, about twice.
# - **R9** No argument is changed, and a call knows nothing of earlier calls.
#
# *Up to you:*
#
# - **F1** Tuples or lists: for the two tables together, for `merges`, for a pair.
# - **F2** The order of the entries in the dict `vocab`.
# - **F3** How the counts are kept, as long as R8 holds.
#
# *Not specified, not tested:* specials that are empty, a single byte long or given twice; text that cannot be
# encoded as UTF-8.
#
# *Not allowed* in this notebook: the libraries `tokenizers`, `tiktoken`, `sentencepiece`, `transformers`.
#
# ### Worked example
#
# ```python
# vocab, merges = train_bpe("low low low lower newest widest", 260)
# merges             # [(b'o', b'w'), (b'l', b'ow'), (b' ', b'low'), (b's', b't')]
# vocab[256]         # b'ow'     (o, w) and (l, o) both occur 4 times; (b'o', b'w') > (b'l', b'o')
# vocab[257]         # b'low'
# len(vocab)         # 260
#
# vocab, merges = train_bpe("low<|end|>low<|end|>", 259, ["<|end|>"])
# vocab[256]         # b'<|end|>'
# merges             # [(b'o', b'w'), (b'l', b'ow')]
# ```


# %%
def train_bpe(
    text: str, vocab_size: int, special: Sequence[str] = ()
) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """Learns a byte-level BPE vocabulary: merges the most frequent pair, again and again.

    Args:
        text: what to learn from.
        vocab_size: entries of the vocabulary, bytes and specials included.
        special: strings that are cut out of the text and get an id each.

    Returns:
        vocab: id -> bytes. 256 bytes, then the specials, then the merges.
        merges: the merged pairs, first learned first.

    Raises:
        ValueError: no room for the bytes and the specials.

    Source: Sennrich, Haddow, Birch 2016, section 3.2, on bytes as in Radford et al. 2019, section 2.2.
    """
    ### BEGIN SOLUTION
    first = 256 + len(special)
    if vocab_size < first:
        raise ValueError(f"{vocab_size} entries have no room for 256 bytes and {len(special)} specials")
    longest_first = sorted(special, key=len, reverse=True)
    texts = re.split("|".join(map(re.escape, longest_first)), text) if special else [text]
    times = Counter(word for part in texts for word in re.findall(PRETOKEN, part))
    words = [[bytes([byte]) for byte in word.encode()] for word in times]
    weights = list(times.values())

    counts: Counter[tuple[bytes, bytes]] = Counter()
    homes = defaultdict(set)  # pair -> numbers of the words that hold it, or held it once
    for number, word in enumerate(words):
        for pair in itertools.pairwise(word):
            counts[pair] += weights[number]
            homes[pair].add(number)

    merges: list[tuple[bytes, bytes]] = []
    while counts and first + len(merges) < vocab_size:
        best = max(counts, key=lambda pair: (counts[pair], pair))
        merges.append(best)
        for number in homes.pop(best):
            # All pairs of the old word leave the count, all pairs of the new one enter: runs cannot go wrong.
            old, new = words[number], []
            for pair in itertools.pairwise(old):
                counts[pair] -= weights[number]
                if not counts[pair]:
                    del counts[pair]
            at = 0
            while at < len(old):
                found = tuple(old[at : at + 2]) == best
                new.append(best[0] + best[1] if found else old[at])
                at += 2 if found else 1
            for pair in itertools.pairwise(new):
                counts[pair] += weights[number]
                homes[pair].add(number)
            words[number] = new
    tokens = (
        [bytes([byte]) for byte in range(256)] + [s.encode() for s in special] + [a + b for a, b in merges]
    )
    return dict(enumerate(tokens)), merges
    ### END SOLUTION


# %% points=5 topics=P3.1 forbid=tokenizers,tiktoken,sentencepiece,transformers limit=20
check("train_bpe")

# %% [markdown]
# <details><summary>Hint 1: questions</summary>
#
# How many *different* pretokens does an English text of 60,000 words have? Which of them can have other pairs than
# before, once `(o, w)` has been merged? What must you have written down beforehand to find them without looking at
# all the others?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Keep three tables: the words (each a list of byte strings) with their frequencies; the counts of the pairs; and
# for each pair the set of words in which it stands. When a word changes, its contribution to the counts changes
# from that of the old row to that of the new row. It is tempting to correct only the neighbours of the merged
# place. In `aaa` this goes wrong, because the pair overlaps itself. The *difference* between the whole old row and
# the whole new row is never wrong, and words are short. Get it right the slow way first (count everything before
# each merge), and keep that version to compare with.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# refuse a vocabulary that is too small
# cut the text at the specials, longest first; escape their signs for the pattern
# count the pretokens of all parts; write each different one as a list of single bytes
# counts[pair] and homes[pair] from all words
# until the vocabulary is full or no pair is left:
#     best = the pair with the greatest (count, pair)
#     for each word in homes[best]:
#         take its pairs out of counts
#         merge best in it, from left to right
#         put its new pairs into counts and homes
# number bytes, specials and merges, in this order
# ```
# </details>

# %% [markdown]
# ### See it: what your tokenizer found
#
# Your function learns 1,000 merges from the corpus. Then they are played back, one after the other, and the work
# is counted: how many pairs must be looked at if all words are counted anew for each merge, and how many if only
# the words that change are counted (once as they were, once as they are now). A count is the same on every
# machine; a stopwatch is not.


# %% demo
def progress(done, of, note):
    """A bar as HTML, readable on light and dark pages."""
    page = (
        "background:white;color:#111;padding:8px 14px;border-radius:6px;font-family:sans-serif;font-size:14px"
    )
    bar = f"background:{BLUE};width:{done / of:.1%};height:12px;border-radius:6px"
    track = "background:#e5e7eb;border-radius:6px;margin:0 0 5px"
    return HTML(f'<div style="{page}"><div style="{track}"><div style="{bar}"></div></div>{note}</div>')


def play_back(merges, text, special):
    """For each merge: pairs a full count looks at, pairs in the words that change (before and after)."""
    parts = re.split("|".join(map(re.escape, special)), text)
    words = {word for part in parts for word in re.findall(PRETOKEN, part)}
    rows = ["".join(f"⟨{chr(byte)}⟩" for byte in word.encode()) for word in words]  # ⟨l⟩⟨o⟩⟨w⟩
    total = first = sum(row.count("⟩⟨") for row in rows)
    anew, kept = [], []
    shown = display(progress(0, 1, ""), display_id=True)
    for pair in merges:
        left, right = (part.decode("latin-1") for part in pair)  # one character for each byte
        anew.append(total)
        kept.append(0)
        for n, row in enumerate(rows):
            if f"⟨{left}⟩⟨{right}⟩" in row:
                rows[n] = row.replace(f"⟨{left}⟩⟨{right}⟩", f"⟨{left}{right}⟩")
                old, new = row.count("⟩⟨"), rows[n].count("⟩⟨")
                kept[-1] += old + new
                total += new - old
        if len(kept) % 50 == 0:
            done, all_of_it = first + sum(kept), first + sum(anew)
            note = f"{len(kept):,} of {len(merges):,} merges. Pairs looked at: <b>{done:,}</b> if only changed words are "
            note += f"counted, {all_of_it:,} if everything is: {all_of_it / done:.0f} times as many"
            shown.update(progress(len(kept), len(merges), note))
    return anew, kept


end = ["<|endoftext|>"]
vocab, merges = train_bpe(corpus, 257 + 1000, end)
anew, kept = play_back(merges, corpus, end)
learned = [(a + b).decode("utf-8", "replace") for a, b in merges]
print("the first ten tokens:", *(repr(token) for token in learned[:10]))
print(
    "the longest words:   ",
    *[repr(token) for token in sorted(learned, key=len) if token.strip().isalpha()][-8:],
)

fig, (left, right) = plt.subplots(1, 2, figsize=(12.5, 3.7))
numbers = range(1, len(merges) + 1)
left.plot(numbers, anew, color=ORANGE, lw=2)
left.plot(numbers, kept, ".", color=BLUE, ms=4)
left.text(1000, 1.9 * anew[-1], "everything counted anew", ha="right", color=ORANGE)
left.text(1000, 400, "only the words that change", ha="right", color=BLUE)
left.set(xlabel="merge", ylabel="pairs looked at", title="work for each merge", yscale="log")
lengths = Counter(len(a + b) for a, b in merges)
right.bar(lengths.keys(), lengths.values(), color=GREEN)
right.set(xlabel="bytes in the token", ylabel="tokens", title="the 1,000 learned tokens")
right.set_xticks(range(2, max(lengths) + 1, 2))
fig.tight_layout()
plt.show()

# %% [markdown]
# *On the left, mind the scale: each labelled mark is ten times the one below. Where only changed words are
# counted, no merge after the first hundred looks at a thousand pairs, and half of them look at a few dozen or
# fewer. Counting everything anew stays expensive to the end. On the right, the lengths of the tokens. Among the
# first are `th`, `in`, ` the`: BPE discovers English by counting. The longest are rows of blanks (indented
# examples), then words of this very corpus: a tokenizer is a portrait of the text it was trained on.*
#
# ## Exercise 2: `BPETokenizer`
#
# **★★ · about 25 minutes · needs: the idea of exercise 1, `re.split`, generators · roadmap: BPE**
#
# Training is done once. Encoding happens for every text that ever goes into the model, and decoding for every text
# that comes out:
#
# ```
#   "low lot<|end|>"                                                     "low lot<|end|>"
#         |  cut at the specials (longest first)                                ^
#   "low lot"           <|end|>                                                 |  decode ALL bytes
#         |  cut into pretokens    \                                            |  at once, as UTF-8
#   "low"     " lot"                |                                     6c 6f 77 20 6c 6f 74 ...
#         |  bytes                  |                                           ^
#   l o w     ␣ l o t               |                                           |  join
#         |  merge: lowest rank first                                     l|ow|␣|lo|t|<|end|>
#   l ow      ␣ lo t                |                                           ^
#         |  look up                |                                           |  look up
#   [108, 257, 32, 258, 116,      256]          - - - model - - ->        [108, 257, 32, 258, 116, 256]
# ```
#
# The **rank** of a merge is its place in the list `merges`: 0 was learned first. To cut a pretoken, look at all
# neighbouring pairs, merge the one of lowest rank, and repeat until no pair is in the list. In other words: repeat
# what training did, in the order it did it.
#
# **Why it matters.** It is tempting to take the longest token that fits, or to merge from left to right. Both give
# valid tokens that decode to the right text, so nothing seems wrong. But the model has been trained on *one* way
# to cut, and meets sequences it has never seen. Such a bug does not crash, it makes a good model stupid.
#
# ### Contract
#
# `BPETokenizer(vocab, merges, special=(), pattern=PRETOKEN)` is made from tables that a training gave. It has the
# methods `encode`, `decode`, `encode_iter`.
#
# - **R1** Ids are looked up in `vocab`, whatever its layout: they need not begin at 0, follow on each other, or
#   have to do with ranks. The tables hold all 256 bytes, the result of each merge and the specials, each once.
#   `pattern` is a regular expression without capturing groups that loses nothing: the pieces that `re.findall`
#   gives, joined, are the text.
# - **R2** `encode(text)` cuts the text at the specials first: going from left to right, wherever one begins; of
#   several that begin at the same place the longest is taken. Each becomes its one id. Only the strings in
#   `special` are special.
# - **R3** The texts between are each cut with `re.findall(pattern, ...)`, and each pretoken becomes a row of
#   bytes, in which the pair of lowest rank is merged, from left to right, until no pair is in `merges`.
# - **R4** `encode` gives the ids in the order of the text; no ids for the empty text.
# - **R5** `decode(ids)` joins the bytes of all tokens first and then decodes them together as UTF-8 with
#   `errors="replace"`. Specials come back as their text. No ids give `""`.
# - **R6** `encode_iter(lines)` takes any iterable of strings and gives, one by one, the ids of its items, each
#   item encoded alone: what `encode` gives for them, one after the other. It is lazy: when it gives an id of item
#   $k$ it has taken at most the items up to $k + 2$.
# - **R7** `decode` of an id that `vocab` does not have: `ValueError`.
# - **R8** The tables are not changed, and two tokenizers do not disturb each other.
#
# *Up to you:*
#
# - **F1** A list or a tuple of ids.
# - **F2** What `encode_iter` returns, as long as one can iterate over it, and whether it looks ahead within R6.
# - **F3** Whether all occurrences of a pair are merged at once or one after the other; further attributes and
#   methods; whether pretokens are remembered.
#
# *Not specified, not tested:* a special broken over two items; how fast it is.
#
# ### Worked example
#
# ```python
# vocab = {i: bytes([i]) for i in range(256)} | {256: b"<|end|>", 257: b"ow", 258: b"lo"}
# merges = [(b"o", b"w"), (b"l", b"o")]        # what train_bpe("now cow how lot log", 259, ["<|end|>"]) gives
# tok = BPETokenizer(vocab, merges, ["<|end|>"])
# tok.encode("low lot")          # [108, 257, 32, 258, 116]      l|ow, because (o, w) has rank 0
# tok.encode("low<|end|>lot")    # [108, 257, 256, 258, 116]
# tok.encode("né")               # [110, 195, 169]
# tok.decode([110, 195, 169])    # 'né'
# tok.decode([110, 195])         # 'n�'                          half of é
# list(tok.encode_iter(["low\n", "lot\n"]))    # [108, 257, 10, 258, 116, 10]
# ```


# %%
class BPETokenizer:
    """Byte-level BPE: text to ids and back, with given tables.

    Args:
        vocab: id -> bytes.
        merges: pairs of byte strings; the place in the list is the rank.
        special: strings that become one id each.
        pattern: cuts text into pretokens.

    Source: Sennrich, Haddow, Birch 2016, section 3.2; Radford et al. 2019, section 2.2.
    """

    def __init__(
        self,
        vocab: dict[int, bytes],
        merges: list[tuple[bytes, bytes]],
        special: Sequence[str] = (),
        pattern: str = PRETOKEN,
    ):
        ### BEGIN SOLUTION
        self.vocab = dict(vocab)
        self.ids = {token: i for i, token in vocab.items()}
        self.rank = {tuple(pair): rank for rank, pair in enumerate(merges)}
        self.pattern = re.compile(pattern)
        longest_first = sorted(special, key=len, reverse=True)
        self.special = re.compile(f"({'|'.join(map(re.escape, longest_first))})") if special else None
        self.known: dict[str, list[int]] = {}  # pretokens repeat
        ### END SOLUTION

    def encode(self, text: str) -> list[int]:
        """The ids of a text."""
        ### BEGIN SOLUTION
        ids: list[int] = []
        parts = self.special.split(text) if self.special else [text]
        for number, part in enumerate(parts):  # every second part is a special
            if number % 2:
                ids.append(self.ids[part.encode()])
                continue
            for word in self.pattern.findall(part):
                if word not in self.known:
                    self.known[word] = [self.ids[symbol] for symbol in self.merged(word)]
                ids += self.known[word]
        return ids

    def merged(self, word: str) -> list[bytes]:
        """The symbols of one pretoken after all merges."""
        symbols = [bytes([byte]) for byte in word.encode()]
        while len(symbols) > 1:
            best = min(itertools.pairwise(symbols), key=lambda pair: self.rank.get(pair, math.inf))
            if best not in self.rank:
                break
            at = 0
            while at < len(symbols) - 1:
                if (symbols[at], symbols[at + 1]) == best:
                    symbols[at : at + 2] = [best[0] + best[1]]
                at += 1
        return symbols
        ### END SOLUTION

    def decode(self, ids: list[int]) -> str:
        """The text of any ids; broken characters become replacement characters."""
        ### BEGIN SOLUTION
        unknown = [i for i in ids if i not in self.vocab]
        if unknown:
            raise ValueError(f"no token has the id {unknown[0]}")
        return b"".join(self.vocab[i] for i in ids).decode("utf-8", errors="replace")
        ### END SOLUTION

    def encode_iter(self, lines: Iterable[str]) -> Iterator[int]:
        """The ids of a stream of texts, one by one, without holding the stream in memory."""
        ### BEGIN SOLUTION
        for line in lines:
            yield from self.encode(line)
        ### END SOLUTION


# %% points=5 topics=P3.1 forbid=tokenizers,tiktoken,sentencepiece,transformers
check("BPETokenizer")

# %% [markdown]
# <details><summary>Hint 1: questions</summary>
#
# In the worked example, which two pairs of `l o w` are in `merges`? Which was learned first? And what does
# `re.split` give when the whole pattern stands in round brackets?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# Two dictionaries make everything a look-up: from bytes to id, and from pair to rank. A pair that is in no list
# has rank infinity. For the pretoken: find the pair of lowest rank among the neighbours; if its rank is infinite,
# you are done; otherwise merge and look again. Merging all its occurrences or only the first one gives the same in
# the end, because whatever a merge makes possible has a higher rank. For `encode_iter`: a function with `yield`
# does nothing until somebody asks.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# encode: for each part of the text, cut at the specials
#             a special: its id
#             otherwise, for each pretoken:
#                 symbols = single bytes
#                 while the lowest rank among the neighbouring pairs is finite:
#                     merge that pair
#                 the ids of the symbols
# decode: refuse unknown ids; join the bytes; decode once, replacing what is broken
# encode_iter: for each line, give the ids of the line
# ```
# </details>

# %% [markdown]
# ## See it work: one sentence, twelve languages
#
# First your own tokenizer with the 1,000 merges from above. It was trained on English documentation; here are an
# English sentence, and the same in French and Greek (Article 1 of the Universal Declaration of Human Rights).


# %% demo
def shown(token):
    """A token as text; a blank as a dot, bytes that are no whole character in hexadecimal."""
    text = token.decode("utf-8", errors="backslashreplace").replace("\\x", "")
    return text.replace(" ", "·").replace("\n", "↵")


def show_cuts(rows):
    """Rows (label, tokens as bytes) as coloured text, readable on light and dark pages."""
    box = "color:#111;padding:2px 3px;margin:1px;border-radius:4px;display:inline-block"
    head = "margin:8px 0 2px;font-family:sans-serif;font-size:13px;color:#374151"
    page = "background:white;padding:6px 14px 12px;border-radius:6px;font-family:monospace;font-size:14px;line-height:1.75"
    lines = []
    for label, tokens in rows:
        texts = [shown(token).replace("&", "&amp;").replace("<", "&lt;") for token in tokens]
        spans = [
            f'<span style="background:{PASTELS[n % 6]};{box}">{text}</span>' for n, text in enumerate(texts)
        ]
        lines.append(
            f'<div style="{head}"><b>{label}</b> &nbsp; {len(tokens)} tokens</div><div>{"".join(spans)}</div>'
        )
    display(HTML(f'<div style="{page};text-align:left">{"".join(lines)}</div>'))


sentences = json.loads(Path("data/sentences.json").read_text("utf-8"))
mine = BPETokenizer(vocab, merges, end)
languages = ("English", "French", "Greek")
show_cuts([(language, [vocab[i] for i in mine.encode(sentences[language])]) for language in languages])

# %% [markdown]
# *Two digits are one byte, written in hexadecimal: half a Greek letter. Your tokenizer has never seen Greek, so
# nothing was ever merged there. It still loses nothing: every text has tokens, and decodes to itself.*
#
# ### Your class is GPT-2's tokenizer
#
# GPT-2's vocabulary has 50,257 entries: 256 bytes (in an order of its own), 50,000 merges, one special. Its list
# of merges is public and comes with this course. Its pattern is not ours, but `BPETokenizer` takes any pattern and
# any layout of ids. So your class can be GPT-2's tokenizer. Is it? The file `real_tokenizers.json` holds what
# OpenAI's own program made of the twelve sentences.

# %% demo
# The pattern of GPT-2 as `re` can say it (Unicode classes are written out; rare numerals like ² differ).
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"


def load_gpt2():
    """(vocab, merges) of GPT-2. Its file writes each byte as one printable character; here they become bytes again."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in printable]
    byte = {chr(b): b for b in printable} | {chr(256 + n): b for n, b in enumerate(others)}
    lines = gzip.decompress(Path("data/gpt2_merges.txt.gz").read_bytes()).decode("utf-8").splitlines()[1:]
    pairs = [tuple(bytes(byte[c] for c in part) for part in line.split(" ")) for line in lines]
    tokens = [bytes([b]) for b in byte.values()] + [a + b for a, b in pairs] + [b"<|endoftext|>"]
    return dict(enumerate(tokens)), pairs


gpt2_vocab, gpt2_merges = load_gpt2()
gpt2 = BPETokenizer(gpt2_vocab, gpt2_merges, end, GPT2_PATTERN)
real = json.loads(Path("data/real_tokenizers.json").read_text("utf-8"))

same = 0
for language, sentence in sentences.items():
    cut = [gpt2_vocab[i].hex() for i in gpt2.encode(sentence)]
    same += cut == real["GPT-2"]["cuts"][language]
print(
    f"{len(gpt2_vocab):,} entries. Cut exactly as OpenAI's program cuts them: {same} of {len(sentences)} sentences"
)
print("ids of 'Hello world<|endoftext|>':", gpt2.encode("Hello world<|endoftext|>"))


def gpt2_tokens(text):
    return [gpt2_vocab[i] for i in gpt2.encode(text)]


show_cuts([("GPT-2, the picture at the top", gpt2_tokens("An unhelpful naïveté"))])
show_cuts([(f"GPT-2, {language}", gpt2_tokens(sentences[language])) for language in (*languages, "Hindi")])

# %% [markdown]
# The same sentence, and four very different bills. Who pays how much, with which tokenizer? All counts below are
# for the same sentence, so English is a fair unit of measure. GPT-2 is computed by your class; the other three
# were computed with the real programs and come in the same file.

# %% demo
bill = {
    "your 1,000 merges": {language: len(mine.encode(text)) for language, text in sentences.items()},
    "GPT-2, 50k (2019)": {language: len(gpt2.encode(text)) for language, text in sentences.items()},
}
labels = {
    "Mistral v3": "Mistral v3, 33k (2024)",
    "GPT-4 (cl100k)": "GPT-4, 100k (2023)",
    "GPT-4o (o200k)": "GPT-4o, 200k (2024)",
}
for name, label in labels.items():
    bill[label] = {language: len(cut) for language, cut in real[name]["cuts"].items()}

order = sorted(sentences, key=lambda language: bill["GPT-2, 50k (2019)"][language])
fig, axes = plt.subplots(1, len(bill), figsize=(14, 4.6), sharey=True)
for ax, (name, counts), color in zip(axes, bill.items(), (GREY, ORANGE, PURPLE, GREEN, BLUE), strict=True):
    bars = ax.barh(order, [counts[language] for language in order], color=color)
    ax.bar_label(bars, padding=3, size=11)
    ax.set(xlim=(0, 1.22 * max(counts["Hindi"], 294)), xticks=[])
    ax.set_title(name, size=12)
    ax.spines["bottom"].set_visible(False)
    ax.tick_params(left=False)
fig.suptitle("tokens for the same sentence (the first panel has a scale of its own)")
fig.tight_layout()
plt.show()
for name, counts in list(bill.items())[1:]:
    worst = max(counts, key=counts.get)
    print(f"{name:24} worst: {worst} {counts[worst] / counts['English']:.1f} times English")

# %% [markdown]
# *A model is paid, and its memory is measured, in tokens. With GPT-2's tokenizer a reader of Hindi pays nine times
# as much as a reader of English for the same sentence, waits nine times as long, and fits a ninth of the text into
# the window. The reason is not the language: it is what the merges were counted on. Newer vocabularies are trained
# on more languages, and larger.*
#
# How fast do merges pay off? The curve below shows how many bytes a token holds on average, on *new* text, as your
# merges come in one after the other.

# %% demo
checkpoints = [0, 10, 30, 60, 100, 200, 400, 700, 1000]
samples = {"English, new text": new_text} | {
    name: sentences[name] for name in ("French", "Finnish", "Greek", "Hindi")
}
curves = {name: [] for name in samples}
for number in checkpoints:
    tok = BPETokenizer(vocab, merges[:number], end)
    for name, text in samples.items():
        curves[name].append(len(text.encode()) / len(tok.encode(text)))

fig, ax = plt.subplots(figsize=(10, 4))
for (name, values), color in zip(curves.items(), (BLUE, GREEN, PURPLE, ORANGE, GREY), strict=True):
    ax.plot(checkpoints, values, "o-", color=color, ms=4)
    height = values[-1] + {"Hindi": -0.08, "Greek": 0.08}.get(name, 0)
    ax.text(
        1015, height, f"{name}: {values[-1]:.2f}", va="center", color="#4b5563" if color == GREY else color
    )
ax.set(xlabel="merges (learned from English)", ylabel="bytes per token", xlim=(-20, 1300), ylim=(0.85, None))
ax.set_title("merges pay off on the kind of text they were learned from")
plt.show()

# %% [markdown]
# Before you go on, some oddities of language models that are born here and nowhere else:

# %% demo
for text in ("strawberry", " strawberry", "Strawberry", "12345678", "3.14159", "egg", " egg", "EGG"):
    print(f"{text!r:14} ->", " | ".join(gpt2_vocab[i].decode() for i in gpt2.encode(text)))

# %% [markdown]
# *How many times does r occur in strawberry? The model sees one number or three, no letters. Is 12345678 larger
# than 3.14159? Digits fall into groups by accident of frequency, so column arithmetic is hard to learn. And with a
# blank in front or a capital letter a word is another row of the table, whose likeness the model must learn.*
#
# ## Exercise 3: `viterbi_unigram`
#
# **★★ · about 25 minutes · needs: dynamic programming, logarithms · roadmap: SentencePiece**
#
# BPE grows its vocabulary by merging, and cuts by replaying the merges. SentencePiece's **Unigram** model goes the
# other way. It has a table of pieces, each with a probability, and pretends that a text comes about by drawing
# pieces one after the other, independently. A segmentation $x = (x_1, \dots, x_m)$ then has the probability
#
# $$P(x) = \prod_{i=1}^{m} p(x_i), \qquad \log P(x) = \sum_{i=1}^{m} \log p(x_i), \qquad x^* = \operatorname*{arg\,max}_{x} \; \log P(x),$$
#
# and the text is cut in the most probable way $x^*$. A text of $n$ characters has up to $2^{n-1}$ segmentations,
# far too many to try. But they share their parts. Take the places between the characters as the stops of a
# journey, and each piece of the table as a leg from its beginning to its end: a segmentation is a *path* from the
# left to the right through this "lattice", and the best path can be built from the best paths of shorter texts.
# This is Viterbi's algorithm.
#
# Two more ideas of SentencePiece: it does not cut at blanks first, which would help little in Chinese or Japanese;
# a blank is a character like any other, written `▁`. And one `▁` is put in front of the text, so that a word at
# the start looks like the same word later on.


# %% demo
def lattice(text, table, path, title):
    """All pieces of the table that occur in the text, each over its characters; the pieces of `path` in orange."""
    chosen = set(zip(itertools.accumulate(map(len, path), initial=0), path, strict=False))
    spans = [
        (i, text[i:j]) for i in range(len(text)) for j in range(i + 1, len(text) + 1) if text[i:j] in table
    ]
    rows = []  # each row: where its last piece ends
    fig, ax = plt.subplots(figsize=(12, 1))
    for start, piece in sorted(spans, key=lambda span: (len(span[1]), span[0])):
        row = next((n for n, stop in enumerate(rows) if stop <= start), len(rows))
        rows[row : row + 1] = [start + len(piece)]
        best = (start, piece) in chosen
        fill, edge, weight = ("#fdba74", ORANGE, "bold") if best else ("#e5e7eb", GREY, "normal")
        corner, width = (start + 0.07, -row - 0.36), len(piece) - 0.14
        ax.add_patch(FancyBboxPatch(corner, width, 0.72, boxstyle="round,pad=0.03", fc=fill, ec=edge))
        ax.text(
            start + len(piece) / 2,
            -row,
            f"{piece}  {table[piece]:.1f}",
            ha="center",
            va="center",
            weight=weight,
        )
    for i in range(len(text) + 1):
        ax.axvline(i, color=GREY, lw=0.8, ls=":", zorder=0)
    fig.set_size_inches(12, 0.55 * len(rows) + 0.6)
    ax.set(xlim=(-0.1, len(text) + 0.1), ylim=(0.6 - len(rows), 0.6))
    ax.set_title(title, loc="left")
    ax.axis("off")
    plt.show()


toy = {"▁": -3.0, "n": -4.0, "e": -4.0, "w": -4.0, "s": -2.5, "▁new": -2.0, "▁news": -5.0, "ew": -5.5}
lattice("▁news", toy, ["▁new", "s"], "pieces of a small table in ▁news, with their log-probabilities")

# %% [markdown]
# *Each box is a piece over the characters it stands for. A segmentation is a way from the left edge to the right
# edge, box after box; its score is the sum of the numbers in them. The greedy choice, the long box `▁news`, scores
# −5.0; `▁new` and `s` together score −4.5, and the five single characters −17.5.*
#
# **Why it matters.** T5, XLNet and many translation models are cut like this. (Llama 1 and 2 and Gemma use the
# SentencePiece program, too, but in its BPE mode.) The same best path through a lattice comes back in speech
# recognition (CTC), in spelling correction, in tagging: whenever the best whole is made of good parts.
#
# ### Contract
#
# `viterbi_unigram(text, logp, unk_logp)` gives the best segmentation as a list of strings.
#
# - **R1** The text is prepared as `"▁" + text.replace(" ", "▁")`: only U+0020 becomes the mark `▁` (U+2581), all
#   other blanks and a `▁` in the text itself stay. The pieces joined are the prepared text.
# - **R2** A piece is a key of `logp`, of any length, or an *unknown character*: one character that is no key of
#   `logp`. It is a piece by itself and costs `unk_logp`. A character that is a key is never unknown.
# - **R3** The score of a segmentation is the sum of the `logp` of its pieces, `unk_logp` for unknown characters.
#   The highest score wins.
# - **R4** Ties: the fewest pieces; among these the list that is smallest as Python compares lists of strings.
#   (Tests of ties use multiples of 1/4, whose sums are exact in any order.)
# - **R5** The empty text gives `["▁"]`, an empty table cuts into single characters.
# - **R6** A text of 5,000 characters works, within the ten seconds that all tests of this exercise have.
# - **R7** No argument is changed.
#
# *Up to you:*
#
# - **F1** A list or a tuple.
# - **F2** Whether you search from the left or from the right.
#
# *Not specified, not tested:* positive or infinite logs, the empty string as a key.
#
# ### Worked example
#
# ```python
# logp = {"▁new": -2.0, "▁news": -5.0, "s": -2.5, "▁": -3.0, "n": -4.0, "e": -4.0, "w": -4.0}
# viterbi_unigram("new news", logp, -10.0)                      # ['▁new', '▁new', 's']  -6.5, not -7
# viterbi_unigram("new news", logp | {"▁news": -4.5}, -10.0)    # ['▁new', '▁news']      a tie
# viterbi_unigram("newts zz", logp, -10.0)                      # ['▁new', 't', 's', '▁', 'z', 'z']
# ```


# %%
def viterbi_unigram(text: str, logp: dict[str, float], unk_logp: float) -> list[str]:
    """The most probable segmentation of a text under a unigram model of pieces.

    Args:
        text: any text.
        logp: log-probability (nats, <= 0) of each piece; blanks are written as the mark U+2581.
        unk_logp: log-probability (nats, <= 0) of a character that is no piece.

    Returns:
        The pieces; joined, they are the text with a mark in front and marks for blanks.

    Source: Kudo 2018, section 3.2, equations 6 and 7; Kudo, Richardson 2018, section 3.1 (blanks as marks).
    """
    ### BEGIN SOLUTION
    text = "▁" + text.replace(" ", "▁")
    longest = max(map(len, logp), default=1)
    # best[i]: (minus the score, number of pieces, end of the first piece) of the best way to cut text[i:]
    best = [(0.0, 0, len(text))] * (len(text) + 1)
    for start in reversed(range(len(text))):
        options = []
        for stop in range(start + 1, min(start + longest, len(text)) + 1):
            piece = text[start:stop]
            if piece in logp or stop == start + 1:
                cost, number, _ = best[stop]
                options.append((cost - logp.get(piece, unk_logp), number + 1, stop))
        # Lists of equal length that begin at one place: the smaller has the shorter first piece.
        best[start] = min(options)
    pieces, start = [], 0
    while start < len(text):
        stop = best[start][2]
        pieces.append(text[start:stop])
        start = stop
    return pieces
    ### END SOLUTION


# %% points=5 topics=P3.2 forbid=tokenizers,tiktoken,sentencepiece,transformers
check("viterbi_unigram")

# %% [markdown]
# <details><summary>Hint 1: questions</summary>
#
# Suppose you know the best segmentation of `▁`, `▁n`, `▁ne` and `▁new`. How do you get that of `▁news` from them,
# and how many sums must you compare? And does it matter whether you begin at the left or at the right end?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# From the left, with $B_j$ the score of the best segmentation of the first $j$ characters and $t_{i:j}$ the piece
# from $i$ to $j$: $B_0 = 0$, $B_j = \max_{i < j} \big( B_i + \log p(t_{i:j}) \big)$. Remember for each $j$ which
# $i$ won; then follow these memories back from the end. For the ties, compare more than the score. They are
# easiest from the *right* end, where you choose the *first* piece of a suffix: of two pieces that begin at the
# same place, which is the smaller string?
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# prepare the text
# best of the empty rest = (score 0, 0 pieces)
# for start from the last place to the first:
#     for each stop up to the longest piece:
#         if text[start:stop] is a piece, or a single character:
#             option = its log + score of best[stop], one piece more than best[stop]
#     best[start] = the best option: score, then fewer pieces, then the shorter first piece
# walk from the start, piece by piece
# ```
# </details>

# %% [markdown]
# ### See it: the same text, cut by BPE and by Unigram
#
# `data/unigram.json` is a table of 2,000 pieces that SentencePiece learned from the whole text of this notebook.
# Your function finds the best path; your BPE tokenizer of about the same size cuts the same words.

# %% demo
table = json.loads(Path("data/unigram.json").read_text("utf-8"))
path = viterbi_unigram("iterators", table, -20.0)
lattice("▁iterators", table, path, "all pieces of the real table in ▁iterators; the best path in orange")

big_vocab, big_merges = train_bpe(corpus, 2000 + 256, end)
big = BPETokenizer(big_vocab, big_merges, end)
for text in (
    "The iterators were reassigned unexpectedly.",
    "uninitialized subclasses",
    "an undocumented operator",
):
    show_cuts([
        ("BPE, 2,256 entries", [big_vocab[i] for i in big.encode(" " + text)]),
        ("Unigram, 2,000 pieces", [piece.replace("▁", " ").encode() for piece in viterbi_unigram(text, table, -20.0)]),
    ])  # fmt: skip

# %% [markdown]
# *Both find common words whole and take rare ones to pieces. Compare `·iter ators` with `·iterator s`, and
# `·und oc u mented` with `·un d oc u ment ed`: BPE is stuck with its early merges (`·und` was glued for words like
# "under") and cannot take them back. Unigram weighs whole segmentations against each other, so stems and endings
# survive more often; here it pays with a few more tokens. It can also name the second best segmentation: cutting a
# little differently each time in training ("subword regularisation") makes models more robust.*

# %% [markdown]
# ## Break it
#
# Three mistakes that real systems have shipped with, on purpose this time.
#
# **1. The longest token that fits.** The tables are right, the ids are valid, every text decodes to itself. Only
# the order of the merges is ignored. How often does a word of real text get other tokens than those the model was
# trained on?


# %% demo
def longest_match(word, tokens):
    """One of the known wrong variants: greedily the longest token."""
    data, found = word.encode(), []
    while data:
        size = next(n for n in range(len(data), 0, -1) if data[:n] in tokens)
        found.append(data[:size])
        data = data[size:]
    return found


def compare_with_longest_match(text, tokenizer, tables, pattern):
    tokens, words, differ = set(tables.values()), Counter(re.findall(pattern, text)), []
    for word, times in words.most_common():
        if not word.strip().isalpha():
            continue
        right, wrong = [tables[i] for i in tokenizer.encode(word)], longest_match(word, tokens)
        if right != wrong:
            differ.append((times, word, " ".join(map(shown, right)), " ".join(map(shown, wrong))))
    total = sum(times for word, times in words.items() if word.strip().isalpha())
    return sum(times for times, *_ in differ) / total, differ


settings = {"your 1,000 merges": (mine, vocab, PRETOKEN), "GPT-2": (gpt2, gpt2_vocab, GPT2_PATTERN)}
for name, (tokenizer, tables, pattern) in settings.items():
    share, differ = compare_with_longest_match(new_text, tokenizer, tables, pattern)
    print(f"{name}: {share:.1%} of the words of new text are cut differently, for example")
    for times, word, right, wrong in differ[:4]:
        print(f"   {times:3} x {word!r:15} by rank: {right:20} longest first: {wrong}")

# %% [markdown]
# With your small vocabulary about one word in nine comes out differently, with GPT-2's large one still one in
# twenty-two. The text decodes perfectly all the same: **a round trip proves nothing about `encode`.** Compare ids
# with a reference, always.
#
# **2. Decoding token by token.** A chat program gets one token after the other and wants to show text at once. So
# it decodes each token when it comes:

# %% demo
for text in ("naïve café", "漢字 and ελληνικά", "🙂🙂"):
    ids = gpt2.encode(text)
    one_by_one = "".join(gpt2.decode([i]) for i in ids)
    print(f"{text!r:22} {len(ids):2} tokens   one by one: {one_by_one!r:34} together: {gpt2.decode(ids)!r}")

# %% [markdown]
# Half a character is no text. Streaming programs keep back the last bytes until a whole character has come.
#
# **3. The blank at the end of the prompt.** You ask a model to continue `"The answer is "`, with a blank at the
# end, and its answers get worse. Compare the tokens:


# %% demo
def boundary_bug(encode, prompt, continuation):
    """Whether the tokens of the parts are other tokens than those of the whole."""
    return encode(prompt) + encode(continuation) != encode(prompt + continuation)


for prompt, continuation in (
    ("The answer is", " forty-two"),
    ("The answer is ", "forty-two"),
    ("see http:", "//python.org"),
):
    note = " (other tokens than the whole!)" if boundary_bug(gpt2.encode, prompt, continuation) else ""
    parts = gpt2_tokens(prompt) + gpt2_tokens(continuation)
    show_cuts([(f"in two parts{note}", parts), ("as a whole", gpt2_tokens(prompt + continuation))])

# %% [markdown]
# In all texts of its training the blank was part of the token `·forty`. A prompt that ends in a lone blank is a
# beginning the model has never seen continued by a word. The same trap waits wherever a text is encoded in parts:
# when prompt and answer are joined in fine-tuning, and in your `encode_iter`, which is why its contract says *each
# item encoded alone*.
#
# ## Real scale
#
# What a vocabulary costs in a real model, computed. Each entry has a vector at the way in and one at the way out
# (some models share the two), and for every token the model computes a score for *every* entry.

# %% demo
models = [  # name, entries, width, parameters, are both tables one?
    ("GPT-2 small", 50257, 768, 124_439_808, True),
    ("Llama 2 7B", 32000, 4096, 6_738_415_616, False),
    ("Llama 3 8B", 128256, 4096, 8_030_261_248, False),
    ("Gemma 2B", 256000, 2048, 2_506_172_416, True),
]
print(
    f"{'model':13}{'entries':>9}{'vectors of the vocabulary':>27}{'share':>8}{'scores of 8,192 tokens, 16 bit':>33}"
)
for name, entries, width, parameters, shared in models:
    vectors, scores = entries * width * (1 if shared else 2), 8192 * entries * 2
    print(f"{name:13}{entries:9,}{vectors / 1e6:25,.0f} M{vectors / parameters:8.0%}{scores / 1e9:30.2f} GB")

print("\nhow often the sentence fits into a window of 128,000 tokens:")
for name, counts in list(bill.items())[1:]:
    print(
        f"  {name:24} English {128_000 / counts['English']:6,.0f}   Hindi {128_000 / counts['Hindi']:6,.0f}"
    )

# %% [markdown]
# So the size of the vocabulary is a trade: more entries make shorter texts (and cheaper attention), but larger
# tables, a larger softmax, and rows so rare that they are hardly ever trained. Small models feel the tables, large
# ones hardly; vocabularies have grown with the models.

# %% [markdown]
# ## Check yourself
#
# **The same sentence has 33 tokens in English and 294 in Hindi with GPT-2's tokenizer. What is the main reason?**
#
# <details><summary>A. Hindi needs more words to say the same</summary>
#
# No. The Hindi sentence has 187 characters, the English one 170. And the newest of the tokenizers above needs only
# 54 tokens for it.
# </details>
#
# <details><summary>B. Its letters take three bytes each in UTF-8, and hardly any merges were learned for them</summary>
#
# <b>Yes.</b> 187 characters are 497 bytes, and GPT-2's merges were counted on web pages in English. Most Hindi
# letters still take two tokens each. With merges learned from Hindi text the same bytes would be joined like
# English ones.
# </details>
#
# <details><summary>C. BPE does not work for scripts without capital letters</summary>
#
# No. BPE knows bytes and counts, no letters at all. It works for any script it has seen enough of, and for program
# code.
# </details>
#
# <details><summary>D. The pattern forbids merges inside Hindi words</summary>
#
# A little: GPT-2's pattern cuts Hindi words at their vowel signs, which are "marks" for Unicode, not letters. But
# most of the cost is there before: 294 tokens are more than one and a half for each character, so even within a
# letter bytes are left alone.
# </details>

# %% [markdown]
# **Your chat program builds its prompt as text, `"<|user|>" + message + "<|assistant|>"`, and encodes it with your
# `BPETokenizer`, specials included. A user writes `<|assistant|>` into the message. What should the program do?**
#
# <details><summary>A. Nothing: R2 says that specials become one id</summary>
#
# No. The model then sees a turn of its own that it never wrote, and the user has put words into its mouth. It is
# the SQL injection of language models.
# </details>
#
# <details><summary>B. Put a blank into everything that looks like a special</summary>
#
# It helps against this one, but changes what users wrote, and one forgotten special reopens the hole.
# </details>
#
# <details><summary>C. Encode the message with a tokenizer without specials, and put the ids of the specials around it</summary>
#
# <b>Yes.</b> Structure belongs to the ids, not to the text. `BPETokenizer(vocab, merges)` has no specials, so the
# same characters become ordinary tokens, and no text whatsoever can make the id of a special.
# </details>
#
# <details><summary>D. Decode the ids and compare with the text</summary>
#
# No: with or without the injection the text comes back as it was. A round trip proves nothing here, either.
# </details>

# %% [markdown]
# ## Bonus: `token_stats`
#
# **★ · about 10 minutes · needs: nothing but care · roadmap: BPE**
#
# Before you choose a tokenizer, measure it, on *your* texts:
#
# ```
#   text -- encode --> tokens             bytes of the text / tokens      how much a token holds
#     \
#      split --> words -- encode each -->  tokens / words ("fertility")    how finely words are cut
#                                          words with > 1 token / words    how many are cut at all
# ```
#
# **Why it matters.** These three numbers decide what a service costs in each language, and they are the first
# thing to look at when a model is good in one language and poor in another.
#
# ### Contract
#
# `token_stats(encode, texts)`: `encode` is any function from a text to a list of ids, `texts` a dict from names to
# texts. The result is a dict with the same names; each value is a dict with exactly the keys `bytes_per_token`,
# `tokens_per_word`, `split_rate`.
#
# - **R1** `bytes_per_token`: bytes of the text in UTF-8 (blanks included), divided by the number of tokens of the
#   whole text.
# - **R2** `tokens_per_word`: the words are `text.split()`; each is encoded *alone*, without a blank in front; the
#   sum of their tokens divided by the number of words.
# - **R3** `split_rate`: the share of words with more than one token when encoded alone. A word that occurs three
#   times counts three times, here and in R2.
# - **R4** A text without words (empty, or blanks only) gives 0.0 three times. No texts give `{}`.
#
# *Up to you:*
#
# - **F1** How often `encode` is called, and in what order; the order of the keys.
#
# ### Worked example
#
# ```python
# def encode(text):                       # a tokenizer of three bytes per token
#     data = text.encode()
#     return [int.from_bytes(data[i : i + 3], "big") for i in range(0, len(data), 3)]
#
# token_stats(encode, {"English": "to be or not", "French": "être né"})
# # {'English': {'bytes_per_token': 3.0, 'tokens_per_word': 1.0, 'split_rate': 0.0},
# #  'French':  {'bytes_per_token': 3.0, 'tokens_per_word': 1.5, 'split_rate': 0.5}}
# ```


# %%
def token_stats(encode: Callable[[str], list[int]], texts: dict[str, str]) -> dict[str, dict[str, float]]:
    """How finely a tokenizer cuts each of some texts.

    Args:
        encode: text -> ids.
        texts: name -> text.

    Returns:
        name -> {"bytes_per_token", "tokens_per_word", "split_rate"}; zeros for a text without words.

    Source: Rust et al. 2021 (fertility, and the proportion of continued words).
    """
    ### BEGIN SOLUTION
    stats = {}
    for name, text in texts.items():
        lengths = [len(encode(word)) for word in text.split()]
        words = max(len(lengths), 1)
        stats[name] = {
            "bytes_per_token": len(text.encode()) / len(encode(text)) if lengths else 0.0,
            "tokens_per_word": sum(lengths) / words,
            "split_rate": sum(length > 1 for length in lengths) / words,
        }
    return stats
    ### END SOLUTION


# %% bonus points=3 topics=P3.1
check("token_stats")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# How many bytes has `"être"`? And what do you divide by when a text has no words?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# All you need are the lengths of the encoded words, in a list, and the length of the encoded text. Sum, mean, share.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for each text:
#     lengths = tokens of each word
#     if there are none: three zeros
#     else: bytes / tokens of the text, mean of lengths, share of lengths above 1
# ```
# </details>

# %% demo
stats = token_stats(gpt2.encode, sentences)
print(f"GPT-2{'':10}bytes/token   tokens/word   words split")
for name in order:
    row = stats[name]
    print(f"{name:15}{row['bytes_per_token']:11.2f}{row['tokens_per_word']:14.2f}{row['split_rate']:14.0%}")

# %% [markdown]
# *Chinese and Japanese write no blanks, so "words" means little there: every measure has its languages. Bytes per
# token works everywhere, but a Hindi letter has three bytes.*
#
# ## Bonus: `unigram_em_step`
#
# **★★ · about 30 minutes · needs: exercise 3, the sum rule of probability · roadmap: SentencePiece**
#
# Where do the probabilities of the pieces come from? If every word came with its cut we would just count pieces.
# It does not, so we go round in circles, and the circle converges: with the present probabilities, ask for each
# word how probable each of its segmentations is, count the pieces of *all* of them, weighted (the **E step**);
# turn these expected counts into new probabilities (the **M step**); repeat. This is expectation–maximisation
# (EM), and each round makes the corpus more likely, or leaves it as it is.
#
# $$P(w) = \sum_{x \in S(w)} \prod_i p(x_i), \qquad \mathcal L = \sum_w n_w \log P(w),$$
#
# $$\bar c(u) = \sum_w n_w \sum_{x \in S(w)} \frac{P(x)}{P(w)} \, \#\{i : x_i = u\}, \qquad p_{\text{new}}(u) = \frac{\bar c(u)}{\sum_v \bar c(v)}$$
#
# $S(w)$, all segmentations of $w$, is exponentially large; the lattice saves us again. Let $\alpha_i$ be the sum
# of the probabilities of all paths from the start to place $i$, and $\beta_i$ of all paths from $i$ to the end.
# Then all paths through the arc of the piece $u$ from $i$ to $j$ together have the probability
# $\alpha_i \, p(u) \, \beta_j$:
#
# ```
#   start ~~ all ways ~~> i --- u ---> j ~~ all ways ~~> end        share of this arc:
#             alpha_i          p(u)          beta_j                 alpha_i p(u) beta_j / P(w)
# ```
#
# **Why it matters.** This is the forward–backward algorithm: hidden Markov models, CTC for speech (section 8) and
# posteriors of any chain are computed like this. And autograd does the same: $\bar c(u)$ is the derivative of
# $\mathcal L$ with respect to $\log p(u)$.
#
# ### Contract
#
# `unigram_em_step(words, logp)` gives `(new_logp, loglik)`. `words` maps non-empty words to how often they occur;
# `logp` maps pieces to log-probabilities, which sum to one as probabilities.
#
# - **R1** `loglik` is $\mathcal L$ in nats, under the **old** `logp`: the sum over the words of count times
#   $\log P(w)$.
# - **R2** $P(w)$ sums over *all* segmentations of the word into pieces of `logp`. Words are taken as they are: no
#   mark is added, there are no unknown characters.
# - **R3** The expected count $\bar c(u)$ of a piece is the sum over all words, count times the expected number of
#   its uses in a segmentation drawn with probability $P(x) / P(w)$.
# - **R4** A piece of two or more characters with $\bar c(u) < 10^{-12}$ is dropped. A single character of `logp`
#   is always kept, with a count of at least $10^{-12}$.
# - **R5** `new_logp` holds the logs of the kept counts divided by their sum.
# - **R6** A word of 2,000 characters works, though its probability is too small for a float.
# - **R7** A word without any segmentation: `ValueError`.
# - **R8** No argument is changed.
#
# *Up to you:*
#
# - **F1** A tuple or a list as result; the order of the entries in `new_logp`.
# - **F2** How you keep long words from underflowing.
#
# *Not specified, not tested:* no words at all, empty words, counts that are not positive, infinite logs, the empty
# string as a piece.
#
# ### Worked example
#
# ```python
# logp = {"a": math.log(1/4), "b": math.log(1/4), "ab": math.log(1/2)}
# new_logp, loglik = unigram_em_step({"ab": 9}, logp)
# # ab whole: 1/2; in letters: 1/16; together P = 9/16. So 8 of the 9 words are expected whole, 1 in letters.
# # counts: ab 8, a 1, b 1
# {u: round(math.exp(v), 4) for u, v in new_logp.items()}      # {'a': 0.1, 'b': 0.1, 'ab': 0.8}
# loglik                                                       # -5.1783 = 9 * log(9/16)
# ```


# %%
def unigram_em_step(words: dict[str, int], logp: dict[str, float]) -> tuple[dict[str, float], float]:
    """One round of EM for the unigram model: expected counts, then new probabilities.

    Args:
        words: word -> number of occurrences.
        logp: piece -> log-probability (nats); the probabilities sum to one.

    Returns:
        new_logp: piece -> log-probability after the step. Pieces that are not used are gone, single characters stay.
        loglik: log-likelihood (nats) of the words under the old logp.

    Raises:
        ValueError: the pieces cannot form one of the words.

    Source: Kudo 2018, section 3.2; the sums are those of the forward-backward algorithm.
    """

    ### BEGIN SOLUTION
    def log_sum(values: list[float]) -> float:
        top = max(values, default=-math.inf)
        return top if top == -math.inf else top + math.log(sum(math.exp(v - top) for v in values))

    longest = max(map(len, logp))
    expected = dict.fromkeys(logp, 0.0)
    loglik = 0.0
    for word, times in words.items():
        n = len(word)
        arcs = [(i, j) for i in range(n) for j in range(i + 1, min(n, i + longest) + 1) if word[i:j] in logp]
        into, out_of = defaultdict(list), defaultdict(list)
        for i, j in arcs:
            into[j].append(i)
            out_of[i].append(j)
        alpha, beta = [0.0] + [-math.inf] * n, [-math.inf] * n + [0.0]
        for j in range(1, n + 1):
            alpha[j] = log_sum([alpha[i] + logp[word[i:j]] for i in into[j]])
        for i in reversed(range(n)):
            beta[i] = log_sum([logp[word[i:j]] + beta[j] for j in out_of[i]])
        if alpha[n] == -math.inf:
            raise ValueError(f"the pieces cannot form {word!r}")
        loglik += times * alpha[n]
        for i, j in arcs:
            piece = word[i:j]
            expected[piece] += times * math.exp(alpha[i] + logp[piece] + beta[j] - alpha[n])
    kept = {
        piece: max(count, 1e-12) for piece, count in expected.items() if count >= 1e-12 or len(piece) == 1
    }
    total = math.fsum(kept.values())
    return {piece: math.log(count / total) for piece, count in kept.items()}, loglik
    ### END SOLUTION


# %% bonus points=5 topics=P3.2
check("unigram_em_step")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# In exercise 3 you took the *maximum* over the ways to reach a place. What do you get if you take the *sum* of the
# probabilities instead?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# $\alpha_0 = 1$, $\alpha_j = \sum_i \alpha_i\, p(t_{i:j})$, and $P(w) = \alpha_n$; $\beta$ the same from the
# right. In logs the product becomes a sum and the sum becomes $\log \sum_k e^{v_k} = m + \log \sum_k e^{v_k - m}$
# with $m = \max_k v_k$, which cannot underflow. The share of an arc needs both $\alpha$ and $\beta$, and the
# probability of the whole word to divide by.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# for each word:
#     alpha from left to right, beta from right to left, in logs
#     refuse the word if alpha at its end is minus infinity
#     loglik += count * alpha at the end
#     for each arc: expected[piece] += count * exp(alpha + log p + beta - alpha at the end)
# drop the unused, keep single characters, divide by the sum, take logs
# ```
# </details>

# %% [markdown]
# ## Bonus: `prune`
#
# **★ · about 20 minutes · needs: exercise 3 · roadmap: SentencePiece**
#
# Unigram starts with far too many pieces, say all frequent substrings, and throws out the ones it can do without.
# What is a piece worth? Take it away, and every word that used it must use the next best way to write it:
#
# ```
#    with the piece "ing":   walk | ing        log p(ing)            = -5
#    without it:             walk | in | g     log p(in) + log p(g)  = -9      loss: 4 nats a use
# ```
#
# **Why it matters.** "How much worse gets the whole if this part goes?" is the question of all pruning: of
# branches in decision trees, of weights and heads in networks.
#
# ### Contract
#
# `prune(logp, words, keep)` gives a smaller table.
#
# - **R1** The count of a piece is the number of its uses in the best segmentations of the words, each as often as
#   the word occurs. Best means: the highest sum of logs; ties as in exercise 3 (fewest pieces, then the smallest
#   list). No mark is added; every word can be formed from the pieces.
# - **R2** The loss of a piece is its count times (its log minus the highest sum of logs with which *other* pieces
#   of the table can write the same string). If there is no other way, the loss of a used piece is infinite. A
#   piece with count 0 has loss 0, even if there is no other way.
# - **R3** Pieces are dropped in the order of their losses, the smallest first. Ties: the longer piece is dropped
#   first, then the one that is the smaller string.
# - **R4** Single characters are never dropped. Dropping stops when `keep` pieces are left, characters included, or
#   only characters are left. If the table has no more than `keep` pieces, all stay.
# - **R5** All losses are computed once, before anything is dropped, and the values that stay are unchanged: making
#   them sum to one again is left to the caller. No argument is changed.
#
# *Up to you:*
#
# - **F1** The order of the entries of the result.
#
# ### Worked example
#
# ```python
# logp = {"a": -2.0, "b": -2.0, "c": -3.0, "ab": -2.5, "bc": -4.0, "abc": -5.25}
# words = {"ab": 1, "bc": 10, "abc": 44}         # best: ab, bc, abc, each whole
# # losses: ab 1 * (-2.5 + 4) = 1.5     bc 10 * (-4 + 5) = 10     abc 44 * (-5.25 + 5.5) = 11
# prune(logp, words, 5)     # {'a': -2.0, 'b': -2.0, 'c': -3.0, 'bc': -4.0, 'abc': -5.25}
# ```


# %%
def prune(logp: dict[str, float], words: dict[str, int], keep: int) -> dict[str, float]:
    """Drops the pieces whose loss costs the best segmentations least.

    Args:
        logp: piece -> log-probability (nats).
        words: word -> number of occurrences.
        keep: pieces to keep, single characters included.

    Returns:
        The table of the pieces that stay, with their old values.

    Source: Kudo 2018, section 3.2, the loss of a subword; counted on the best segmentations, as SentencePiece does.
    """
    ### BEGIN SOLUTION
    longest = max(map(len, logp))

    def cut(text: str, without: str | None = None) -> tuple[float, list[str]]:
        """(score, pieces) of the best segmentation; (-inf, []) if there is none."""
        best: list = [None] * len(text) + [(0.0, 0, 0)]  # as in exercise 3
        for start in reversed(range(len(text))):
            stops = range(start + 1, min(start + longest, len(text)) + 1)
            usable = [j for j in stops if best[j] and text[start:j] in logp and text[start:j] != without]
            best[start] = min(
                ((best[j][0] - logp[text[start:j]], best[j][1] + 1, j) for j in usable), default=None
            )
        if best[0] is None:
            return -math.inf, []
        pieces, start = [], 0
        while start < len(text):
            pieces.append(text[start : best[start][2]])
            start = best[start][2]
        return -best[0][0], pieces

    used: Counter[str] = Counter()
    for word, times in words.items():
        for piece in cut(word)[1]:
            used[piece] += times
    losses = {
        piece: used[piece] * (value - cut(piece, without=piece)[0]) if used[piece] else 0.0
        for piece, value in logp.items()
        if len(piece) > 1
    }
    order = sorted(losses, key=lambda piece: (losses[piece], -len(piece), piece))
    dropped = set(order[: max(0, len(logp) - keep)])
    return {piece: value for piece, value in logp.items() if piece not in dropped}
    ### END SOLUTION


# %% bonus points=3 topics=P3.2
check("prune")

# %% [markdown]
# <details><summary>Hint 1: a question</summary>
#
# What is the best segmentation of the string `"ing"` if the piece `"ing"` itself may not be used?
# </details>
#
# <details><summary>Hint 2: the step</summary>
#
# You need the best path twice: for each word with all pieces (to count), and for each piece with itself forbidden
# (to value it). One helper inside your function, with the forbidden piece as an argument, does both. It is the
# search of exercise 3 without marks and unknown characters, except that now there may be no path at all.
# </details>
#
# <details><summary>Hint 3: pseudo-code</summary>
#
# ```
# count the pieces of the best segmentation of each word, times its count
# loss of each longer piece: 0 if unused, else count * (log - best score of its string without it)
# sort by loss, then longer first, then alphabetically
# drop from the front until `keep` pieces are left or only characters are left
# ```
# </details>

# %% [markdown]
# ### See it: a Unigram tokenizer learns by forgetting
#
# The pieces together: start with 3,000 frequent substrings of the words of the corpus, do four EM steps, drop a
# quarter of the pieces, and so on down to 500. (The EM steps drop unused pieces, too.)


# %% demo
def normalised(model):
    total = math.log(sum(math.exp(value) for value in model.values()))
    return {piece: value - total for piece, value in model.items()}


words = Counter("▁" + word.strip() for word in re.findall(r" ?[A-Za-z]+", corpus))
words = {word: count for word, count in words.items() if count > 1}
characters, substrings = Counter(), Counter()
for word, count in words.items():
    for i in range(len(word)):
        characters[word[i]] += count
        for j in range(i + 2, min(i + 10, len(word)) + 1):
            substrings[word[i:j]] += count
frequent = sorted(substrings, key=lambda piece: -substrings[piece] * len(piece))[: 3000 - len(characters)]
seed = dict(characters) | {piece: substrings[piece] for piece in frequent}
model = normalised({piece: math.log(count) for piece, count in seed.items()})

rounds = []  # of each round: number of pieces, log-likelihood per word before each EM step
start = time.process_time()
while True:
    likelihoods = []
    for _ in range(4):
        model, loglik = unigram_em_step(words, model)
        likelihoods.append(loglik / sum(words.values()))
    rounds.append((len(model), likelihoods))
    if len(model) <= 500:
        break
    model = normalised(prune(model, words, max(500, len(model) * 3 // 4)))
needed = time.process_time() - start
print(
    f"{len(words):,} different words, {4 * len(rounds)} EM steps, {needed:.1f} s; {len(model)} pieces are left"
)
for word in ("statement", "iterators", "unexpected", "assignments", "reading"):
    print(f"  {word:14}", " | ".join(viterbi_unigram(word, model, -20.0)))

fig, ax = plt.subplots(figsize=(11, 3.9))
for n, (size, likelihoods) in enumerate(rounds):
    steps = range(4 * n, 4 * n + 4)
    ax.plot(steps, likelihoods, "o-", color=BLUE if n % 2 else GREEN)
    ax.text(4 * n + 1.5, max(likelihoods) + 0.06, f"{size:,} pieces", ha="center", size=11, color="#4b5563")
best, last = max(likelihoods[-1] for _, likelihoods in rounds), rounds[-1][1][0]
ax.set(xlabel="EM step", ylabel="nats per word", ylim=(last - 0.15, best + 0.25))
ax.set_title("log-likelihood of the words: each colour is a round of four EM steps, then comes the knife")
ax.set_xticks(range(0, 4 * len(rounds), 4))
plt.show()
print(f"(the very first value, {rounds[0][1][0]:.2f}, lies below the picture)")

# %% [markdown]
# *Within a round the likelihood rises: that is EM's promise. The first prunings cost nothing that one could see,
# the later ones more and more. What is left in the end are stems, endings and common words, though nobody told the
# model about grammar.*
#
# ## Where it comes back
#
# In the next notebook the ids become training batches, and bits per *byte* make models with different tokenizers
# comparable. Fine-tuning puts chat templates around them (the second question above), serving streams them, and
# attackers play with their borders. In section 8 pictures and sounds get "tokens", too.
#
# ## Reading list
#
# - Sennrich, Haddow, Birch, *Neural Machine Translation of Rare Words with Subword Units*, 2016: section 3.2 and
#   algorithm 1 (your `train_bpe`, in ten lines).
# - Radford et al., *Language Models are Unsupervised Multitask Learners* (GPT-2), 2019: section 2.2, why bytes,
#   and why pretokens.
# - Kudo, *Subword Regularization*, 2018: section 3.2 (Unigram, EM, pruning), 3.3 (sampling segmentations), 3.4
#   (compared with BPE).
# - Kudo, Richardson, *SentencePiece*, 2018: section 3.1, blanks as characters.
# - Jurafsky, Martin, *Speech and Language Processing*, third edition: the sections on tokenization in chapter 2.
# - Foster, *Generative Deep Learning*, second edition: chapter 5, tokenization of text; chapter 9, GPT.
# - Huyen, *Designing Machine Learning Systems*: chapter 4, on training data: what is counted decides what is
#   learned.
# - Petrov et al., *Language Model Tokenizers Introduce Unfairness Between Languages*, 2023: the bills of many
#   languages.
# - Bostrom, Durrett, *Byte Pair Encoding is Suboptimal for Language Model Pretraining*, 2020: BPE and Unigram
#   compared.
# - Rust et al., *How Good is Your Tokenizer?*, 2021: fertility, and what it does to a model.
# - Zouhar et al., *A Formal Perspective on Byte-Pair Encoding*, 2023: how far greedy is from best.
