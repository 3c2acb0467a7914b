"""Where the views are. ``guests`` is found as Django finds it: on the path, beside ``conf``."""

from importlib import import_module

from django.urls import path

views = import_module("guests.views")

urlpatterns = [path("invite/<email>", views.invite), path("ainvite/<email>", views.ainvite)]
