#!/usr/bin/env python3
"""Signs and verifies webhooks with what providers give their users (deploy/tools/sdks/requirements.txt).

Reads one JSON object a line and answers each with one:

    {"do": "sign", "provider": …, "secret": …, "url": …, "body": …}                    → {"headers": {…}, "url": …}
    {"do": "verify", "provider": …, "secret": …, "url": …, "body": …, "headers": {…}}  → {"accepts": true}
    {"do": "twiml", "body": …}                                                         → {"verbs": [["Say", "Hello"], …]}

Header names are in lower case. What can't be done is answered with {"error": …}.

Where a provider's package only verifies, and signing takes the provider's private key, a test key signs: `secret` is
then the public half of it, and the test asks the package whether it agrees.
"""

import base64
import datetime
import hashlib
import json
import sys
import time
import urllib.parse
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

# Some packages print what they think of a signature; what is answered goes out alone.
answers, sys.stdout = sys.stdout, sys.stderr

SIGN, VERIFY = {}, {}
ED25519 = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ECDSA = ec.derive_private_key(int.from_bytes(bytes(range(1, 33)), "big"), ec.SECP256R1())


def signs(*names):
    return lambda function: SIGN.update(dict.fromkeys(names, function)) or function


def verifies(*names):
    return lambda function: VERIFY.update(dict.fromkeys(names, function)) or function


def raises_nothing(function, *arguments, **named) -> bool:
    """Most packages say no by an exception, each by one of its own."""
    try:
        function(*arguments, **named)
    except ImportError:
        raise
    except Exception:
        return False
    return True


def base64_text(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


# Standard Webhooks and Svix, and those who speak it.


def standard(package, family, secret, body, now):
    identity, date = f"msg_{uuid.uuid4().hex}", datetime.datetime.fromtimestamp(now, datetime.timezone.utc)
    signature = package.Webhook(secret).sign(identity, date, body)
    return {f"{family}-id": identity, f"{family}-timestamp": str(now), f"{family}-signature": signature}


@signs("standard-webhooks", "gitlab", "incident-io", "openai")
def standard_webhooks(secret, url, body, now):
    import standardwebhooks.webhooks

    return standard(standardwebhooks.webhooks, "webhook", secret, body, now)


@verifies("standard-webhooks", "gitlab", "incident-io")
def verify_standard_webhooks(secret, url, body, headers):
    from standardwebhooks.webhooks import Webhook

    return raises_nothing(Webhook(secret).verify, body, headers)


@signs("svix", "clerk", "resend", "vanta")
def svix(secret, url, body, now):
    import svix.webhooks

    return standard(svix.webhooks, "svix", secret, body, now)


@verifies("svix", "clerk", "resend", "vanta")
def verify_svix(secret, url, body, headers):
    from svix.webhooks import Webhook

    return raises_nothing(Webhook(secret).verify, body, headers)


@signs("standard-webhooks-ed25519")
def standard_webhooks_ed25519(secret, url, body, now):
    """By the specification, since no package of Python makes `v1a`; behind a `v1` that doesn't count."""
    identity = f"msg_{uuid.uuid4().hex}"
    signature = base64_text(ED25519.sign(f"{identity}.{now}.{body}".encode()))
    both = f"v1,{base64_text(bytes(32))} v1a,{signature}"
    return {"webhook-id": identity, "webhook-timestamp": str(now), "webhook-signature": both}


@signs("supabase")
def supabase(secret, url, body, now):
    return standard_webhooks(secret.removeprefix("v1,"), url, body, now)


@verifies("supabase")
def verify_supabase(secret, url, body, headers):
    return verify_standard_webhooks(secret.removeprefix("v1,"), url, body, headers)


@signs("polar")
def polar(secret, url, body, now):
    """The text of the secret is the key."""
    return standard_webhooks(base64_text(secret.encode()), url, body, now)


@verifies("polar")
def verify_polar(secret, url, body, headers):
    return verify_standard_webhooks(base64_text(secret.encode()), url, body, headers)


@verifies("openai")
def verify_openai(secret, url, body, headers):
    from openai import OpenAI

    webhooks = OpenAI(api_key="none", webhook_secret=secret).webhooks
    return raises_nothing(webhooks.verify_signature, body, headers)


# Voice, and those who wait for answers.


@signs("retell")
def retell(secret, url, body, now):
    from retell.lib.webhook_auth import symmetric

    return {"x-retell-signature": symmetric["sign"](body, secret, now * 1000)}


@verifies("retell")
def verify_retell(secret, url, body, headers):
    from retell.lib.webhook_auth import verify

    return bool(verify(body, secret, headers["x-retell-signature"]))


class Fields(dict):
    """A form as web frameworks give it to Twilio's package."""

    def __init__(self, body):
        super().__init__(urllib.parse.parse_qs(body, keep_blank_values=True))

    def getlist(self, name):
        return self[name]


@signs("twilio")
def twilio(secret, url, body, now):
    from twilio.request_validator import RequestValidator

    return {"x-twilio-signature": RequestValidator(secret).compute_signature(url, Fields(body))}


@signs("twilio-sha256")
def twilio_sha256(secret, url, body, now):
    from twilio.request_validator import RequestValidator

    signature = RequestValidator(secret).compute_signature(url, Fields(body), "HMAC_SHA256")
    settings = "key=webhooks_sharedkey_1,algorithm=HMAC_SHA256"
    return {"x-twilio-signature": signature, "x-twilio-webhooks-signature-settings": settings}


@verifies("twilio")
def verify_twilio(secret, url, body, headers):
    from twilio.request_validator import RequestValidator

    return RequestValidator(secret).validate(url, Fields(body), headers["x-twilio-signature"])


@signs("twilio-events")
def twilio_events(secret, url, body, now):
    """Twilio puts the hash of a body that is JSON into the query, and signs the URL."""
    from twilio.request_validator import RequestValidator

    url += f"?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
    return {"x-twilio-signature": RequestValidator(secret).compute_signature(url, {})}, url


@verifies("twilio-events")
def verify_twilio_events(secret, url, body, headers):
    from twilio.request_validator import RequestValidator

    return RequestValidator(secret).validate(url, body, headers["x-twilio-signature"])


@signs("livekit")
def livekit(secret, url, body, now):
    from livekit.api import AccessToken

    token = AccessToken("APIkey7f3a", secret).with_sha256(base64_text(hashlib.sha256(body.encode()).digest()))
    return {"authorization": token.with_ttl(datetime.timedelta(minutes=5)).to_jwt()}


@signs("slack")
def slack(secret, url, body, now):
    from slack_sdk.signature import SignatureVerifier

    signature = SignatureVerifier(secret).generate_signature(timestamp=str(now), body=body)
    return {"x-slack-signature": signature, "x-slack-request-timestamp": str(now)}


@verifies("slack")
def verify_slack(secret, url, body, headers):
    from slack_sdk.signature import SignatureVerifier

    return SignatureVerifier(secret).is_valid_request(body, headers)


@signs("sinch")
def sinch(secret, url, body, now):
    from sinch.domains.authentication.sinch_events.v1 import authentication_validation as sdk

    nonce = uuid.uuid4().hex
    signature = sdk.calculate_sinch_event_signature(sdk.compute_signed_data(body, nonce, str(now)), secret)
    return {
        "x-sinch-webhook-signature": signature,
        "x-sinch-webhook-signature-nonce": nonce,
        "x-sinch-webhook-signature-timestamp": str(now),
        "x-sinch-webhook-signature-algorithm": "HmacSHA256",
    }


@signs("sinch-voice")
def sinch_voice(secret, url, body, now):
    from sinch.core.internal.sinch_events import utils as sdk

    time = datetime.datetime.fromtimestamp(now, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    path, digest = urllib.parse.urlsplit(url).path, sdk.compute_content_md5(body)
    signature = sdk.compute_signature(sdk.build_string_to_sign("POST", digest, "application/json", time, path), secret)
    return {"authorization": f"application 669E367E:{signature}", "x-timestamp": time}


@verifies("sinch-voice")
def verify_sinch_voice(secret, url, body, headers):
    """The package knows those of the newer API, which are signed alike and say `service`."""
    from sinch.core.internal.sinch_events.authorization_helpers import validate_authentication_header

    key = headers["authorization"].removeprefix("application ").split(":")[0]
    headers = {**headers, "authorization": headers["authorization"].replace("application", "service", 1)}
    return validate_authentication_header(key, secret, headers, body, urllib.parse.urlsplit(url).path, "POST")


@signs("telnyx")
def telnyx(secret, url, body, now):
    signature = base64_text(ED25519.sign(f"{now}|{body}".encode()))
    return {"telnyx-signature-ed25519": signature, "telnyx-timestamp": str(now)}


@verifies("telnyx")
def verify_telnyx(secret, url, body, headers):
    from telnyx.lib.webhook_verification import verify_webhook_signature

    return raises_nothing(verify_webhook_signature, body.encode(), headers, secret)


@signs("discord")
def discord(secret, url, body, now):
    signature = ED25519.sign(f"{now}{body}".encode()).hex()
    return {"x-signature-ed25519": signature, "x-signature-timestamp": str(now)}


@verifies("discord")
def verify_discord(secret, url, body, headers):
    from discord_interactions import verify_key

    return verify_key(body.encode(), headers["x-signature-ed25519"], headers["x-signature-timestamp"], secret)


@verifies("elevenlabs")
def verify_elevenlabs(secret, url, body, headers):
    from elevenlabs.client import ElevenLabs

    webhooks = ElevenLabs(api_key="none").webhooks
    return raises_nothing(webhooks.construct_event, body, headers["elevenlabs-signature"], secret)


@verifies("plivo")
def verify_plivo(secret, url, body, headers):
    from plivo.utils import validate_v3_signature

    nonce, signature = (headers[f"x-plivo-signature-v3{name}"] for name in ("-nonce", ""))
    fields = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
    return validate_v3_signature("POST", url, nonce, secret, signature, fields)


@verifies("line")
def verify_line(secret, url, body, headers):
    from linebot.v3.webhook import SignatureValidator

    return SignatureValidator(secret).validate(body, headers["x-line-signature"])


@verifies("vonage")
def verify_vonage(secret, url, body, headers):
    """The package looks at the signature of the token, and leaves the hash in it to its user."""
    import jwt
    from vonage_jwt.verify_jwt import verify_signature

    token = headers["authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    return verify_signature(token, secret) and claims["payload_hash"] == hashlib.sha256(body.encode()).hexdigest()


# Events.


@signs("stripe")
def stripe(secret, url, body, now):
    from stripe import WebhookSignature

    return {"stripe-signature": WebhookSignature.generate_signature_header(body, secret, now)}


@verifies("stripe")
def verify_stripe(secret, url, body, headers):
    from stripe import WebhookSignature

    return raises_nothing(WebhookSignature.verify_header, body.encode(), headers["stripe-signature"], secret, 300)


@signs("sendgrid")
def sendgrid(secret, url, body, now):
    signature = base64_text(ECDSA.sign(f"{now}{body}".encode(), ec.ECDSA(hashes.SHA256())))
    return {
        "x-twilio-email-event-webhook-signature": signature,
        "x-twilio-email-event-webhook-timestamp": str(now),
    }


@verifies("sendgrid")
def verify_sendgrid(secret, url, body, headers):
    from sendgrid.helpers.eventwebhook import EventWebhook

    name = "x-twilio-email-event-webhook"
    return EventWebhook(secret).verify_signature(body, headers[f"{name}-signature"], headers[f"{name}-timestamp"])


@verifies("square")
def verify_square(secret, url, body, headers):
    from square.utils.webhooks_helper import verify_signature

    return verify_signature(
        request_body=body,
        signature_header=headers["x-square-hmacsha256-signature"],
        signature_key=secret,
        notification_url=url,
    )


@verifies("workos")
def verify_workos(secret, url, body, headers):
    from workos.webhooks._verification import verify_header

    event = {"event_body": body.encode(), "event_signature": headers["workos-signature"], "secret": secret}
    return raises_nothing(verify_header, **event)


@verifies("mailgun")
def verify_mailgun(secret, url, body, headers):
    """The signature stands in the body, and covers nothing else of it."""
    from mailgun.security import SecurityGuard

    names = ("token", "timestamp", "signature")
    signature = json.loads(body)["signature"]
    check = SecurityGuard.verify_webhook
    try:
        return check(signing_key=secret, **{name: signature[name] for name in names})
    except ValueError:
        return False


@signs("adyen-platforms")
def adyen_platforms(secret, url, body, now):
    from Adyen.util import generate_payload_sig

    return {"hmacsignature": generate_payload_sig(body.encode(), secret).decode()}


@verifies("adyen")
def verify_adyen(secret, url, body, headers):
    """The signature stands in the body, and covers some members of its one item."""
    from Adyen.util import is_valid_hmac_notification

    return bool(is_valid_hmac_notification(json.loads(body), secret))


@verifies("airtable")
def verify_airtable(secret, url, body, headers):
    from pyairtable.models.webhook import WebhookNotification

    return raises_nothing(WebhookNotification.from_request, body, headers["x-airtable-content-mac"], secret)


@signs("box")
def box(secret, url, body, now):
    from box_sdk_gen.internal.utils import compute_webhook_signature

    headers = {
        "box-delivery-timestamp": datetime.datetime.fromtimestamp(now, datetime.timezone.utc).isoformat(),
        "box-signature-version": "1",
        "box-signature-algorithm": "HmacSHA256",
    }
    return {**headers, "box-signature-primary": compute_webhook_signature(body, headers, secret)}


@verifies("box")
def verify_box(secret, url, body, headers):
    from box_sdk_gen.managers.webhooks import WebhooksManager

    fixed = {"box-signature-version": "1", "box-signature-algorithm": "HmacSHA256"}
    return WebhooksManager.validate_message(body, {**fixed, **headers}, secret)


@verifies("easypost")
def verify_easypost(secret, url, body, headers):
    from easypost.util import validate_webhook

    return raises_nothing(validate_webhook, body.encode(), {"X-Hmac-Signature": headers["x-hmac-signature"]}, secret)


@verifies("mercado-pago")
def verify_mercado_pago(secret, url, body, headers):
    """What is signed is an id in the query, and no body."""
    from mercadopago.webhook.validator import WebhookSignatureValidator

    [identity] = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)["data.id"]
    check = WebhookSignatureValidator.validate
    return raises_nothing(check, headers["x-signature"], headers["x-request-id"], identity, secret)


@verifies("messagebird")
def verify_messagebird(secret, url, body, headers):
    """Without the hash of the URL, which hookbus neither makes nor needs."""
    from messagebird.request_validator import RequestValidator

    check = RequestValidator(secret, skip_url_validation=True).validate_signature
    return raises_nothing(check, headers["messagebird-signature-jwt"], url, body.encode())


@signs("pusher")
def pusher(secret, url, body, now):
    from pusher.signature import sign

    return {"x-pusher-key": "278d425bdf160c739803", "x-pusher-signature": sign(secret, body)}


@verifies("razorpay")
def verify_razorpay(secret, url, body, headers):
    from razorpay.utility.utility import Utility

    return raises_nothing(Utility().verify_webhook_signature, body, headers["x-razorpay-signature"], secret)


def twiml(body):
    """The verbs of an answer, as Twilio's package writes the same ones."""
    from xml.etree import ElementTree

    from twilio.twiml.voice_response import VoiceResponse

    root = ElementTree.fromstring(body)
    assert root.tag == "Response", root.tag
    response = VoiceResponse()
    for verb in root:
        # There is a method for each verb that Twilio knows.
        arguments = [verb.text] if verb.text else []
        getattr(response, verb.tag.lower())(*arguments, **verb.attrib)
    written = ElementTree.fromstring(response.to_xml())
    assert [verb.tag for verb in written] == [verb.tag for verb in root]
    return [[verb.tag, verb.text] for verb in written]


def answer(request):
    if request["do"] == "twiml":
        return {"verbs": twiml(request["body"])}
    provider, secret, url, body = (request[name] for name in ("provider", "secret", "url", "body"))
    if request["do"] == "verify":
        return {"accepts": bool(VERIFY[provider](secret, url, body, request["headers"]))}
    made = SIGN[provider](secret, url, body, int(time.time()))
    headers, url = made if isinstance(made, tuple) else (made, url)
    return {"headers": headers, "url": url}


for line in sys.stdin:
    try:
        result = answer(json.loads(line))
    except Exception as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(result), file=answers, flush=True)
