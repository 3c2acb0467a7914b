"""Testing what is queued: see what was published, and run the workers, in the test's own process.

With pytest, the fixture ``postroom``::

    def test_an_invite_is_sent(postroom, mailoutbox):
        invite("ada@example.com")
        postroom.drain()
        assert len(mailoutbox) == 1

With unittest or Django's TestCase, ``PostroomMixin``, whose ``self.drain()`` and ``self.published(queue)`` are the
same. Nothing here costs anything until it is used: pytest imports it in every project.
"""

from .mixin import PostroomMixin

__all__ = ["PostroomMixin"]
