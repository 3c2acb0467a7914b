"""Every address of the chat."""

from django.contrib.auth.views import LogoutView
from django.contrib.staticfiles.urls import staticfiles_urlpatterns
from django.urls import path

import accounts.views
import activity.views
import mail.views
import teams.views

urlpatterns = [
    path("", teams.views.home, name="home"),
    path("sign-up/", accounts.views.sign_up, name="sign-up"),
    path("sign-up/sent/", accounts.views.sign_up_sent, name="sign-up-sent"),
    path("confirm/<str:token>/", accounts.views.confirm, name="confirm"),
    path("sign-in/", accounts.views.SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("teams/new/", teams.views.new_team, name="new-team"),
    path("t/<slug:team>/", teams.views.team, name="team"),
    path("t/<slug:team>/channels/new/", teams.views.new_channel, name="new-channel"),
    path("t/<slug:team>/c/<slug:channel>/", teams.views.channel, name="channel"),
    path("t/<slug:team>/people/", teams.views.people, name="people"),
    path("t/<slug:team>/invite/", teams.views.invite, name="invite"),
    path("join/<str:token>/", teams.views.join, name="join"),
    path("activity/", activity.views.activity, name="activity"),
    path("mailbox/", mail.views.mailbox, name="mailbox"),
    path("mailbox/<int:number>/", mail.views.letter, name="letter"),
    *staticfiles_urlpatterns(),
]
