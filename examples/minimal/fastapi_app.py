"""Invitations by e-mail from a FastAPI application, which answers before they are sent.

pip install fastapi uvicorn postroom
uvicorn fastapi_app:app
postroom process_queue --app fastapi_app --all
"""

from fastapi import FastAPI
from pydantic import BaseModel

from postroom import Queue, aqueue_json_publish, assign_queue, configure


class Invite(BaseModel):
    email: str
    team: int


configure(broker="sqlite:///postroom.db")
invites = Queue("invites", Invite, max_attempts=8)
app = FastAPI()


@assign_queue(invites, timeout=30)
def send_invite(invite: Invite) -> None:
    print(f"Dear {invite.email}, join team {invite.team}!", flush=True)


@app.post("/invites", status_code=202)
async def create_invite(invite: Invite) -> str:
    return await aqueue_json_publish(invites, invite)
