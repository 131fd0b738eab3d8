"""What the project says: short where it must be, true where it points, and only of itself."""

from __future__ import annotations

import re

from source import ROOT, name, project_files

PAGES = [path for path in project_files() if path.suffix == ".md"]
LINK = re.compile(r"!?\[[^\]]*\]\(\s*<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\s*\)")
FENCE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
TEXT = {
    ".py",
    ".md",
    ".toml",
    ".yaml",
    ".yml",
    ".ipynb",
    ".sql",
    ".html",
    ".css",
    ".js",
    ".cfg",
    ".txt",
    ".sh",
    "",
}

#: Letters in brackets keep this file from finding itself.
STRANGE = re.compile(
    r"/wor[k]/|/far[m]/|(?<!\w)\.librar[y]\b|/roo[t]/|/hom[e]/\w|\bpypi\.or[g]\b|pythonhoste[d]|registry\.npmj[s]|\bissue #\d"
    r"|\bhelper agen[t]|\bsub-?agen[t]|\bthe brie[f]\b",
    re.IGNORECASE,
)


def test_the_readme_fits_on_a_few_screens():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def anchors(path):
    """Return the anchors of a page's headings, as code hosts make them."""
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCE.sub("", path.read_text()), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).replace(" ", "-") for heading in headings
    }


def test_every_relative_link_leads_somewhere():
    broken = []
    for page in PAGES:
        for target in LINK.findall(FENCE.sub("", page.read_text())):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            path = (page.parent / file).resolve() if file else page
            if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
                broken.append(f"{name(page)}: {target}")
    assert not broken


def test_every_page_of_the_documentation_can_be_reached_from_the_readme():
    reached, to_read = set(), [ROOT / "README.md"]
    while to_read:
        page = to_read.pop()
        if page in reached or not page.is_file():
            continue
        reached.add(page)
        if page.suffix == ".md":
            targets = [target.partition("#")[0] for target in LINK.findall(page.read_text())]
            to_read += [
                (page.parent / target).resolve() for target in targets if target and ":" not in target
            ]
    lost = [name(page) for page in PAGES if page.is_relative_to(ROOT / "docs") and page not in reached]
    assert not lost


def test_the_project_speaks_only_of_itself():
    strange = []
    for path in project_files():
        if path.suffix not in TEXT:
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            found = STRANGE.search(line)
            if found:
                strange.append(f"{name(path)}:{number} {found[0]}")
    assert not strange
