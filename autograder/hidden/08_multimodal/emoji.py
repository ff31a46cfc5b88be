"""Makes source/08_multimodal/data/emoji.npz: small pictures of emoji with their names.

    python emoji.py FONT FOLDER           writes the file
    python emoji.py FONT FOLDER --check   makes it again and says whether it differs (exit 1)

FONT is NotoColorEmoji.ttf (Debian's fonts-noto-color-emoji 2.042-0+deb12u1), FOLDER the npm package
emojibase-data 17.0.0 unpacked; drawing needs Pillow (13.0.0). Other versions give other pictures or words.
It runs no test and grades nothing.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
FILE = HERE.parents[2] / "source" / HERE.name / "data" / "emoji.npz"
SIDE, FONT_SIZE, STEPS = 32, 109, 64  # pixels; the one size the font has; levels kept of each colour
GROUPS = {
    "smileys-emotion": "smileys and emotion",
    "people-body": "people and body",
    "animals-nature": "animals and nature",
    "food-drink": "food and drink",
    "travel-places": "travel and places",
    "activities": "activities",
    "objects": "objects",
    "symbols": "symbols",
}
# Pictures whose names say little about them, or that come in many almost equal forms.
NO_SUBGROUPS = {"family", "person", "person-gesture", "time-of-day", "transport-sign", "arrow", "religion"}
NO_SUBGROUPS |= {"zodiac", "av-symbol", "gender", "math", "punctuation", "currency", "keycap", "alphanum"}
NO_SUBGROUPS |= {"warning", "other-symbol", "place-religious"}
NO_NAMES = {"middle finger", "love hotel", "pile of poo", "pregnant man", "pregnant woman", "breast-feeding"}
NO_NAMES |= {"radio button", "white square button", "black square button", "diamond with a dot", "cigarette"}
NO_NAMES |= {"person wearing turban", "person with skullcap", "woman with headscarf", "coffin", "kaaba"}
NO_WORDS = re.compile(r"o’clock|thirty|medium|small square|large square")
KINDS = {  # one word that captions use -> beginnings of the subgroups it fits; classes for zero-shot
    "face": ("face-", "cat-face", "monkey-face"),
    "heart": ("heart",),
    "hand": ("hand",),
    "person": ("person-",),
    "animal": ("animal-",),
    "plant": ("plant-",),
    "food": ("food-",),
    "drink": ("drink",),
    "building": ("place-building",),
    "vehicle": ("transport-",),
    "weather": ("sky-weather",),
    "sport": ("sport",),
    "clothing": ("clothing",),
    "music": ("music",),
    "book": ("book-",),
    "tool": ("tool",),
}
NO_KEYWORDS = {
    "143",
    "bae",
    "bf",
    "ily",
    "lmao",
    "lol",
    "omg",
    "rofl",
    "sexy",
    "tbt",
    "xoxo",
    "yolo",
    "zzz",
    "haha",
}
SHARED = 3  # a keyword stays if at least so many pictures have it in their name or keywords
TOO_SMALL_A_DIFFERENCE = 12.0  # root of the mean square of two pictures' difference, of 255
EVERY = 8  # about one picture in so many is held out


def words(text: str) -> list[str]:
    """Lower-case words of a name: letters and digits, apostrophes gone."""
    return re.findall(r"[a-z0-9]+", text.lower().replace("’", "").replace("'", "").replace("ñ", "n"))


def kind(subgroup: str) -> int:
    """Number of the first kind the subgroup fits, or -1."""
    return next((i for i, starts in enumerate(KINDS.values()) if subgroup.startswith(starts)), -1)


def draw(symbol: str, font: object) -> np.ndarray:
    """The picture on white, cut to its ink, centred in a square, made small: (SIDE, SIDE, 3) uint8."""
    from PIL import Image, ImageDraw

    paper = Image.new("RGBA", (160, 160), (0, 0, 0, 0))
    ImageDraw.Draw(paper).text((12, 12), symbol, font=font, embedded_color=True)
    ink = paper.getbbox()
    if ink is None:
        return np.full((SIDE, SIDE, 3), 255, np.uint8)
    cut = paper.crop(ink)
    side = round(max(cut.size) * SIDE / (SIDE - 2))  # one pixel of white around
    square = Image.new("RGBA", (side, side), (255, 255, 255, 255))
    square.alpha_composite(cut, ((side - cut.width) // 2, (side - cut.height) // 2))
    small = np.asarray(square.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BOX), np.float64)
    return np.round(np.round(small / 255 * (STEPS - 1)) / (STEPS - 1) * 255).astype(np.uint8)


def candidates(folder: Path) -> list[tuple[str, str, str, list[str], str]]:
    """(group, subgroup, name, other words, symbol) of each emoji of one character, in Unicode's order."""
    names = json.loads((folder / "en" / "messages.json").read_text("utf-8"))
    groups = {entry["order"]: entry["key"] for entry in names["groups"]}
    subgroups = {entry["order"]: entry["key"] for entry in names["subgroups"]}
    found = []
    for entry in json.loads((folder / "en" / "data.json").read_text("utf-8")):
        symbol = entry["emoji"].replace("\ufe0f", "")
        name, group = entry["label"].lower(), groups.get(entry.get("group"))
        if len(symbol) != 1 or group not in GROUPS or name in NO_NAMES or NO_WORDS.search(name):
            continue
        subgroup = subgroups[entry["subgroup"]]
        if subgroup not in NO_SUBGROUPS:
            own = set(words(name))
            others = sorted({w for tag in entry.get("tags", []) for w in words(tag)} - own)
            found.append((GROUPS[group], subgroup, " ".join(words(name)), others, symbol))
    return found


def distinct(images: np.ndarray) -> np.ndarray:
    """Which pictures have ink and differ enough from all kept before them."""
    kept: list[int] = []
    for i, image in enumerate(images.astype(np.float64)):
        before = images[kept].astype(np.float64)
        far = np.sqrt(((before - image) ** 2).mean((1, 2, 3))) >= TOO_SMALL_A_DIFFERENCE
        if (image < 250).any() and far.all():
            kept.append(i)
    return np.array(kept)


def shared(names: Sequence[str], others: Sequence[list[str]]) -> list[list[str]]:
    """The keywords that say something about several pictures, without numbers and slang."""
    counts = Counter(
        word for name, more in zip(names, others, strict=True) for word in {*name.split(), *more}
    )
    fine = {w for w, n in counts.items() if n >= SHARED and not w.isdigit()} - NO_KEYWORDS
    return [[word for word in more if word in fine] for more in others]


def held_out(names: Sequence[str], others: Sequence[list[str]]) -> np.ndarray:
    """A fixed choice; of two pictures to train on, at least, the words hold each word of a chosen name."""
    texts = [set(name.split()) | set(more) for name, more in zip(names, others, strict=True)]
    left = {word: sum(word in text for text in texts) for text in texts for word in text}
    chosen, safe = np.zeros(len(names), bool), set[str]()
    for i in np.random.default_rng(0).permutation(len(names)):
        own = set(names[i].split())
        if all(left[word] >= 3 for word in own | (texts[i] & safe)):
            chosen[i] = True
            safe |= own
            left.update({word: left[word] - 1 for word in texts[i]})
        if EVERY * chosen.sum() >= len(names):
            break
    return chosen


def make(font_file: str, folder: Path) -> bytes:
    from PIL import ImageFont

    font = ImageFont.truetype(font_file, FONT_SIZE)
    rows = candidates(folder)
    images = np.stack([draw(symbol, font) for *_, symbol in rows])
    kept = distinct(images)
    groups, subgroups, names, others, symbols = zip(*(rows[i] for i in kept), strict=True)
    others = shared(names, others)
    file = io.BytesIO()
    np.savez_compressed(
        file,
        images=images[kept],
        captions=np.array(names),
        keywords=np.array([" ".join(more) for more in others]),
        group=np.array([list(GROUPS.values()).index(g) for g in groups], np.int8),
        group_names=np.array(list(GROUPS.values())),
        kind=np.array([kind(s) for s in subgroups], np.int8),
        kind_names=np.array(list(KINDS)),
        subgroup=np.array(subgroups),
        symbol=np.array(symbols),
        held_out=held_out(names, others),
    )
    return file.getvalue()


def same(a: bytes, b: bytes) -> bool:
    """Whether two files hold equal arrays (compressors differ)."""
    with np.load(io.BytesIO(a)) as left, np.load(io.BytesIO(b)) as right:
        return left.files == right.files and all(np.array_equal(left[k], right[k]) for k in left.files)


def main() -> None:
    font, folder, *rest = sys.argv[1:]
    content = make(font, Path(folder))
    if rest == ["--check"]:
        equal = FILE.exists() and same(FILE.read_bytes(), content)
        print("as it was" if equal else "differs", FILE.name)
        raise SystemExit(not equal)
    FILE.write_bytes(content)
    print(f"written: {FILE.name} ({len(content):,} bytes)")


if __name__ == "__main__":
    main()
