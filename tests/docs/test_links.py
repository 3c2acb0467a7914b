"""Links inside the documentation lead somewhere."""

from pathlib import Path

import pytest

from .pages import ROOT, anchors, links, name, pages


@pytest.mark.parametrize("page", pages(), ids=name)
def test_links_lead_to_files_and_headings_that_exist(page: Path) -> None:
    astray = []
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists():
            astray.append(f"{link}: there is no {target}")
        elif anchor and anchor not in anchors(target):
            astray.append(f"{link}: no heading of {name(target)} makes the anchor; {sorted(anchors(target))}")
    assert not astray, "\n".join(astray)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    waiting = [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page in reached:
            continue
        reached.add(page)
        targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page) if "://" not in link)
        waiting += [target for target in targets if target.suffix == ".md"]
    assert set(pages()) <= reached
