"""Postroom in a Django project: add ``"postroom.django"`` to INSTALLED_APPS."""
