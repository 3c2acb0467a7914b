"""What the documentation says to write and to run does what it says."""

import re
from pathlib import Path

import pytest

from tests.rabbit import RabbitNode

from .pages import ROOT, blocks, name, pages
from .story import Story

ON_RABBITMQ = ROOT / "docs" / "how-to" / "foreign-programs.md"
RUNNABLE = [page for page in pages() if page != ON_RABBITMQ and any(block.run for block in blocks(page))]


@pytest.mark.parametrize("page", RUNNABLE, ids=name)
def test_what_the_page_shows_works(page: Path, tmp_path: Path) -> None:
    Story(tmp_path).tell(list(blocks(page)))


@pytest.mark.rabbitmq
def test_foreign_programs_publish_and_read(tmp_path: Path, rabbit_node: RabbitNode, amqp_tools: None) -> None:
    url = rabbit_node.url
    (tmp_path / "amqp.auth").write_text("username:guest\npassword:guest\n")
    tools = f"--server 127.0.0.1 --port {rabbit_node.port} --authfile amqp.auth"
    Story(tmp_path, POSTROOM_BROKER=url, AMQP_URL=url, MQ=tools).tell(list(blocks(ON_RABBITMQ)))


@pytest.mark.parametrize("page", pages(), ids=name)
def test_blocks_are_closed_and_say_what_they_are(page: Path) -> None:
    fences = re.findall(r"^```", page.read_text("utf-8"), re.MULTILINE)
    assert len(fences) == 2 * len(list(blocks(page)))
