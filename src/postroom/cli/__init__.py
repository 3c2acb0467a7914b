"""The commands: ``postroom VERB``, and in Django ``manage.py postroom VERB``. One module a verb."""
