"""What a team does with MLflow's webhooks, through the unmodified client. Prints what it was answered, as JSON.

Arguments: the address of a receiver, and the secret it verifies with. Says when everything has happened that the receiver
is told, and goes on when it is told to.
"""

import json
import sys

from mlflow import MlflowClient, MlflowException
from mlflow.entities.webhook import WebhookEvent, WebhookStatus

EVENTS = ["registered_model.created", "model_version.created", "model_version_tag.set", "model_version_tag.deleted",
          "model_version_alias.created", "model_version_alias.deleted", "prompt.created", "prompt_version.created",
          "prompt_tag.set", "prompt_tag.deleted", "prompt_version_tag.set", "prompt_version_tag.deleted",
          "prompt_alias.created", "prompt_alias.deleted"]


def facts(webhook) -> dict:
    """What is the same wherever it is kept."""
    return {"name": webhook.name, "url": webhook.url, "description": webhook.description, "status": str(webhook.status),
            "events": sorted(str(event) for event in webhook.events), "secret": webhook.secret}


def code(act) -> str:
    """The code that the client is refused with."""
    try:
        act()
    except MlflowException as refused:
        return refused.error_code
    return ""


def main(url: str, secret: str) -> dict:
    client, told = MlflowClient(), {}
    events = [WebhookEvent.from_str(event) for event in EVENTS]
    made = client.create_webhook("all-of-it", url, events, description="everything", secret=secret)
    told["made"] = facts(made)
    client.create_registered_model("ranker", tags={"team": "search"}, description="finds")
    for source in ("s3://models/1", "s3://models/2"):
        client.create_model_version("ranker", source, tags={"k": "v"}, description="first")
    client.set_model_version_tag("ranker", "1", "reviewed", "yes")
    client.delete_model_version_tag("ranker", "1", "reviewed")
    client.set_registered_model_alias("ranker", "champion", "2")
    client.delete_registered_model_alias("ranker", "champion")
    client.register_prompt(name="greeting", template="Hello {{name}}", tags={"tone": "warm"})
    client.set_prompt_tag("greeting", "tone", "cold")
    client.delete_prompt_tag("greeting", "tone")
    client.set_prompt_version_tag("greeting", "1", "checked", "yes")
    client.delete_prompt_version_tag("greeting", "1", "checked")
    client.set_prompt_alias("greeting", "live", 1)
    client.delete_prompt_alias("greeting", "live")

    # What was to be told of this shall have been.
    print("happened", flush=True)
    sys.stdin.readline()
    id = made.webhook_id
    told["read"] = facts(client.get_webhook(id))
    tested = client.test_webhook(id, WebhookEvent.from_str("model_version.created"))
    told["tested"] = [tested.success, tested.response_status, tested.response_body]
    changed = client.update_webhook(id, name="some-of-it", description="less", status=WebhookStatus.DISABLED,
                                    events=[WebhookEvent.from_str("model_version.created")])
    told["changed"] = facts(changed)
    client.create_registered_model("unheard")
    others = [client.create_webhook(f"other-{n}", url, events[:1]).webhook_id for n in range(3)]
    told["listed"] = [webhook.name for webhook in client.list_webhooks()]
    first = client.list_webhooks(max_results=3)
    told["pages"] = [[webhook.name for webhook in page]
                     for page in (first, client.list_webhooks(max_results=3, page_token=first.token))]
    for other in others:
        client.delete_webhook(other)
    client.delete_webhook(id)
    told["left"] = len(client.list_webhooks())
    told["refused"] = [code(lambda: client.get_webhook(id)), code(lambda: client.delete_webhook("nothing")),
                       code(lambda: client.create_webhook("Not A Name", url, events)),
                       code(lambda: client.create_webhook("name", "ftp://example.org/", events))]
    return told


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:])))
