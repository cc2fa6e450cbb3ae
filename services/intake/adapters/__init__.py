"""One module per kind of sender; `ADAPTERS` finds them by the name that a stored delivery carries."""

from services.intake.adapters.amazon_connect import AmazonConnect
from services.intake.adapters.canonical import Canonical
from services.intake.adapters.cfpb import Cfpb
from services.intake.adapters.chatwoot import Chatwoot
from services.intake.adapters.cloudevents import CloudEvents
from services.intake.adapters.comments import Comments
from services.intake.adapters.email import Email
from services.intake.adapters.fetched import Fetched
from services.intake.adapters.freshdesk import Freshdesk
from services.intake.adapters.front import Front
from services.intake.adapters.genesys import Genesys
from services.intake.adapters.hubspot import HubSpot
from services.intake.adapters.intercom import Intercom
from services.intake.adapters.mapped import Mapped
from services.intake.adapters.salesforce import Salesforce
from services.intake.adapters.standard_webhooks import StandardWebhooks
from services.intake.adapters.tabular import Csv
from services.intake.adapters.twilio import Twilio
from services.intake.adapters.zammad import Zammad
from services.intake.adapters.zendesk import Zendesk
from services.intake.submissions import Adapter

ADAPTERS: dict[str, Adapter] = {
    adapter.name: adapter
    for adapter in (
        Canonical(),
        CloudEvents(),
        StandardWebhooks(),
        Zendesk(),
        Freshdesk(),
        Chatwoot(),
        Zammad(),
        Intercom(),
        Front(),
        HubSpot(),
        Salesforce(),
        Genesys(),
        AmazonConnect(),
        Twilio(),
        Email(),
        Csv(),
        Cfpb(),
        Mapped(),
    )
}

# Of deliveries that intake makes itself: no source has it.
INTERNAL: dict[str, Adapter] = {adapter.name: adapter for adapter in (Fetched(), Comments())}
