//! `verify`: published vectors are accepted at their time, and what is wrong with others is said.

use crate::support::bridge::run;
use crate::support::process::Output;
use std::path::{Path, PathBuf};

/// A published vector: whose, the secret, what came, and when.
struct Vector {
    provider: &'static str,
    secret: &'static str,
    url: &'static str,
    headers: &'static [&'static str],
    body: &'static str,
    at: &'static str,
}

const NOW: &str = "2026-11-30T12:00:00Z";
const FORM: &str = "content-type: application/x-www-form-urlencoded";
const TWILIO: &str = "https://mycompany.com/myapp.php?foo=1&bar=2";
const CALL: &str = "CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212";
const SPKI: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE83T4O/n84iotIvIW4mdBgQ/7dAfSmpqIM8kF9mN1flpVKS3GRqe62gw+2fNNRaINXvVpiglSI8eNEc6wEA3F+g==";
const SLACK: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

/// Where each is from stands behind it; the keys are public ones of tests and documentation.
const VECTORS: [Vector; 29] = [
    // github/docs, validating-webhook-deliveries
    Vector {
        provider: "github",
        secret: "It's a Secret to Everybody",
        url: "",
        headers: &[
            "x-github-event: push",
            "x-hub-signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        ],
        body: "Hello, World!",
        at: NOW,
    },
    // octokit/webhooks-methods.js, test/sign
    Vector {
        provider: "github",
        secret: "mysecret",
        url: "",
        headers: &[
            "x-github-event: push",
            "x-hub-signature-256: sha256=4864d2759938a15468b5df9ade20bf161da9b4f737ea61794142f3484236bda3",
        ],
        body: r#"{"foo":"bar"}"#,
        at: NOW,
    },
    // slackapi/python-slack-sdk, tests/signature
    Vector {
        provider: "slack",
        secret: "8f742231b10e8888abcd99yyyzzz85a5",
        url: "",
        headers: &[
            FORM,
            "x-slack-request-timestamp: 1531420618",
            "x-slack-signature: v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
        ],
        body: SLACK,
        at: "1531420618",
    },
    // twilio/twilio-python, tests/unit/test_request_validator: four forms
    Vector {
        provider: "twilio",
        secret: "12345",
        url: TWILIO,
        headers: &[FORM, "x-twilio-signature: RSOYDt4T1cUTdK1PDd93/VVr8B8="],
        body: CALL,
        at: NOW,
    },
    Vector {
        provider: "twilio",
        secret: "12345",
        url: TWILIO,
        headers: &[FORM, "x-twilio-signature: kvajT1Ptam85bY51eRf/AJRuM3w="],
        body: CALL,
        at: NOW,
    },
    Vector {
        provider: "twilio",
        secret: "12345",
        url: "http://mycompany.com/myapp.php?foo=1&bar=2",
        headers: &[FORM, "x-twilio-signature: 0ZXoZLH/DfblKGATFgpif+LLRf4="],
        body: CALL,
        at: NOW,
    },
    Vector {
        provider: "twilio",
        secret: "12345",
        url: TWILIO,
        headers: &[FORM, "x-twilio-signature: IK+Dwps556ElfBT0I3Rgjkr1wJU="],
        body: "Sid=CA123&SidAccount=AC123&Digits=5678&Digits=1234&Digits=1234",
        at: NOW,
    },
    // Our own, by the rule of twilio-python for HMAC_SHA256.
    Vector {
        provider: "twilio",
        secret: "12345",
        url: TWILIO,
        headers: &[FORM, "x-twilio-signature: 033hgUJA9M/hXIZsYjwkerEP/DBm35nEri5FhCYjA5s="],
        body: CALL,
        at: NOW,
    },
    // standard-webhooks, libraries/javascript
    Vector {
        provider: "standard-webhooks",
        secret: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        url: "",
        headers: &[
            "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp: 1614265330",
            "webhook-signature: v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ],
        body: r#"{"test": 2432232314}"#,
        at: "1614265330",
    },
    // openai/openai-python, tests/lib/test_webhooks
    Vector {
        provider: "openai",
        secret: "whsec_RdvaYFYUXuIFuEbvZHwMfYFhUf7aMYjYcmM24+Aj40c=",
        url: "",
        headers: &[
            "webhook-id: wh_685c059ae39c8190af8c71ed1022a24d",
            "webhook-timestamp: 1750861210",
            "webhook-signature: v1,gUAg4R2hWouRZqRQG4uJypNS8YK885G838+EHb4nKBY=",
        ],
        body: r#"{"id": "evt_685c059ae3a481909bdc86819b066fb6", "object": "event", "created_at": 1750861210, "type": "response.completed", "data": {"id": "resp_123"}}"#,
        at: "1750861210",
    },
    // RetellAI/retell-python-sdk, tests/test_webhook_auth
    Vector {
        provider: "retell",
        secret: "test-api-key",
        url: "",
        headers: &[
            "x-retell-signature: v=1700000000000,d=07024cabe7dd8f6d1c6e4a8324ca92c812e6ad4a7ee506c04f7e462e3321823e",
        ],
        body: r#"{"event":"call_ended"}"#,
        at: "1700000000",
    },
    // PaddleHQ/paddle-node-sdk, webhooks-validator tests
    Vector {
        provider: "paddle",
        secret: "VALID_SECRET",
        url: "",
        headers: &[
            "paddle-signature: ts=1698796800;h1=a300428748dce5c70e4da19bffd60769591ea969c99dea3105d0ec9612cf43f9",
        ],
        body: r#"{"data": ["1", "2"]}"#,
        at: "1698796800",
    },
    // Adyen's documentation; what isn't there, the reference of an earlier payment, is signed as nothing
    Vector {
        provider: "adyen",
        secret: "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        url: "",
        headers: &[],
        body: r#"{"live":"false","notificationItems":[{"NotificationRequestItem":{"additionalData":{"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="},"amount":{"value":1130,"currency":"EUR"},"pspReference":"7914073381342284","eventCode":"AUTHORISATION","merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704","success":"true"}}]}"#,
        at: NOW,
    },
    // Our own, after mercadopago, webhook/validator.py: neither an id nor the id of the request is there.
    Vector {
        provider: "mercado-pago",
        secret: "a-secret-of-mercado-pago",
        url: "",
        headers: &[
            "x-signature: ts=1704908010,v1=5c60039625cc8d727c87ea06d2fdbe47940aba8f55f73b22fc1313c5276f9cad",
        ],
        body: r#"{"action":"payment.updated"}"#,
        at: NOW,
    },
    // The message is in Plivo's documentation; signed with the key and the nonce of the next one, by plivo-python
    Vector {
        provider: "plivo",
        secret: "my_auth_token",
        url: "https://example.com/abcd?foo=bar",
        headers: &[
            FORM,
            "x-plivo-signature-v3-nonce: 12345",
            "x-plivo-signature-v3: c2lnbmVkIGJ5IGFub3RoZXIga2V5IG9mIHRoaXMgb25l,+GIg2JlfSs3DcD8ya+BMAYnb04mZPy9MvAJZlHVaIcE=",
        ],
        body: "CallUuid=4vbcpem8-0u46-x1ha-9af1-438vc92bf374&Digits=1234&To=%2B15555555555&From=%2B15551111111",
        at: NOW,
    },
    // plivo/plivo-python, tests/resources/test_signature
    Vector {
        provider: "plivo",
        secret: "my_auth_token",
        url: "https://answer.url",
        headers: &[
            FORM,
            "x-plivo-signature-v2-nonce: 12345",
            "x-plivo-signature-v2: ehV3IKhLysWBxC1sy8INm0qGoQYdYsHwuoKjsX7FsXc=",
        ],
        body: "",
        at: NOW,
    },
    // Shopify/shopify-app-js, webhooks validate.test
    Vector {
        provider: "shopify",
        secret: "test_secret_key",
        url: "",
        headers: &[
            "x-shopify-topic: orders/create",
            "x-shopify-hmac-sha256: B23tXN681gZ0qIWNRrgtzBE9XSDo5yaUu6wfmhu3a7g=",
        ],
        body: r#"{"foo": "bar"}"#,
        at: NOW,
    },
    // sanity-io/webhook-toolkit, test/signature
    Vector {
        provider: "sanity",
        secret: "test",
        url: "",
        headers: &[
            "sanity-webhook-signature: t=1633519811129,v1=tLa470fx7qkLLEcMOcEUFuBbRSkGujyskxrNXcoh0N0",
        ],
        body: r#"{"_id":"resume"}"#,
        at: "1633519811",
    },
    // octokit/webhooks-methods.js, test/verify: what isn't ASCII, as GitHub sent JSON before and does now, and an escape
    // that is none.
    Vector {
        provider: "github",
        secret: "development",
        url: "",
        headers: &[
            "x-github-event: push",
            "x-hub-signature-256: sha256=afecc3caa27548bb90d51a50384cb2868b9a3327b4ad6a01c9bd4ed0f8b0b12c",
        ],
        body: "{\"foo\":\"Foo\\n\\u001B[34mbar: ♥♥♥♥♥♥♥♥\\nthis-is-lost\\u001B[0m\\u001B[2K\"}",
        at: NOW,
    },
    Vector {
        provider: "github",
        secret: "development",
        url: "",
        headers: &[
            "x-github-event: push",
            "x-hub-signature-256: sha256=9dacf9003316b09be07df56d86a2d0d6872e42a1e6c72c3bad9ff915a7c5603e",
        ],
        body: "{\n  \"foo\": \"Foo\\n\\u001B[34mbar: ♥♥♥♥♥♥♥♥\\nthis-is-lost\\u001B[0m\\u001B[2K\"\n}\n",
        at: NOW,
    },
    Vector {
        provider: "github",
        secret: "development",
        url: "",
        headers: &[
            "x-github-event: push",
            "x-hub-signature-256: sha256=87316067e2011fae39998b18c46a14d83b3e7c3ffdd88fb2ee5afb7d11288e60",
        ],
        body: "{\n  \"foo\": \"\\\\u001b\"\n}\n",
        at: NOW,
    },
    // Our own; key and event from livekit/python-sdks, tests/api/test_webhook.
    Vector {
        provider: "livekit",
        secret: "thiskeyistotallyunsafe",
        url: "",
        headers: &[
            "authorization: eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJteWFwaWtleSIsIm5iZiI6MTY5Mjk4NTU1NiwiZXhwIjoxNjkyOTg1ODU2LCJzaGEyNTYiOiJlOUJLREJWcjEwVDNiNjFobXNSSVlkZDU4QU1LZkZ4VHlCTm80Yi9xTlp3PSJ9.5Wq4juuurgy7TDPTYtmW387r5SP8yUs53FjUuwDY7VY",
        ],
        body: "\n{\n  \"event\": \"room_started\",\n  \"room\": {\n    \"sid\": \"RM_hycBMAjmt6Ub\",\n    \"name\": \"Demo Room\",\n    \"emptyTimeout\": 300,\n    \"creationTime\": \"1692627281\",\n    \"turnPassword\": \"2Pvdj+/WV1xV4EkB8klJ9xkXDWY=\",\n    \"enabledCodecs\": [\n      {\n        \"mime\": \"audio/opus\"\n      },\n      {\n        \"mime\": \"video/H264\"\n      },\n      {\n        \"mime\": \"video/VP8\"\n      },\n      {\n        \"mime\": \"video/AV1\"\n      },\n      {\n        \"mime\": \"video/H264\"\n      },\n      {\n        \"mime\": \"audio/red\"\n      },\n      {\n        \"mime\": \"video/VP9\"\n      }\n    ]\n  },\n  \"id\": \"EV_eugWmGhovZmm\",\n  \"createdAt\": \"1692985556\"\n}\n",
        at: "1692985600",
    },
    // standard-webhooks, libraries/go: `v1a`, with the public half of the key that is printed there.
    Vector {
        provider: "standard-webhooks",
        secret: "whpk_ZlN4eg7dSSqi0moX9hQUk3orrOouK3QVQSlJa248c/g=",
        url: "",
        headers: &[
            "webhook-id: msg_p5jXN8AQM9LWM0D4loKWxJek",
            "webhook-timestamp: 1614265330",
            "webhook-signature: v1a,tQ9V2XOqn7jL/DQenEFpqIugdBVtiMmER5mhSkXBNwM0mkATuDe6KYYUuxqtaiHeYGb7KaaBRdM5WqyeFiL8Ag==",
        ],
        body: r#"{"test": 2432232314}"#,
        at: "1614265330",
    },
    // developers.sinch.com, callback-signed-request
    Vector {
        provider: "sinch-voice",
        secret: "BeIukql3pTKJ8RGL5zo0DA==",
        url: "https://callbacks.yourdomain.com/sinch/callback/ace",
        headers: &[
            "content-type: application/json",
            "x-timestamp: 2014-09-24T10:59:41Z",
            "authorization: application 669E367E-6BBA-48AB-AF15-266871C28135:Tg6fMyo8mj9pYfWQ9ssbx3Tc1BNC87IEygAfLbJqZb4=",
        ],
        body: r#"{"event":"ace","callid":"822aa4b7-05b4-4d83-87c7-1f835ee0b6f6_257","timestamp":"2014-09-24T10:59:41Z","version":1}"#,
        at: "2014-09-24T10:59:41Z",
    },
    // webhook-co/webhook, discord.test and handshake.test: three of Discord's
    Vector {
        provider: "discord",
        secret: "79b5562e8fe654f94078b112e8a98ba7901f853ae695bed7e0e3910bad049664",
        url: "",
        headers: &[
            "x-signature-timestamp: 1610000000",
            "x-signature-ed25519: 50db4086e890c41c26b539f0dd95af18b4d8b03d2f4203964d238b4946943ee2cc6fd52c47ddb355d267086a8c4e299d1054d3d655dba6e0f237a779f634800d",
        ],
        body: r#"{"type":1}"#,
        at: "1610000000",
    },
    Vector {
        provider: "discord",
        secret: "f5a70d9eee8fdbaa739e1f92cd8a37bb6df8665efafc0c612d7e91969ca415ce",
        url: "",
        headers: &[
            "x-signature-timestamp: 1700000000",
            "x-signature-ed25519: 47557badb18567ea44c56c9fdf7550ec09369ae1a146d40983916283aef37cdc68ded6d5f5839fa120faeca32ac1c5fd19846fc838bf8ddaff6747867e18a805",
        ],
        body: r#"{"type":0}"#,
        at: "1700000000",
    },
    Vector {
        provider: "discord",
        secret: "f5a70d9eee8fdbaa739e1f92cd8a37bb6df8665efafc0c612d7e91969ca415ce",
        url: "",
        headers: &[
            "x-signature-timestamp: 1700000000",
            "x-signature-ed25519: b3508acd42ecb1041c922c6aaec576d36c8dd4168388fcb0aa2d0d5e251658150aaba1f7c082684a03defdee92a7ff1ec6fa26f59dcd0214a9aa554c16aca201",
        ],
        body: r#"{"type":1}"#,
        at: "1700000000",
    },
    // sendgrid-python, test_eventwebhook
    Vector {
        provider: "sendgrid",
        secret: SPKI,
        url: "",
        headers: &[
            "x-twilio-email-event-webhook-timestamp: 1600112502",
            "x-twilio-email-event-webhook-signature: MEUCIGHQVtGj+Y3LkG9fLcxf3qfI10QysgDWmMOVmxG0u6ZUAiEAyBiXDWzM+uOe5W0JuG+luQAbPIqHh89M15TluLtEZtM=",
        ],
        body: "[{\"email\":\"hello@world.com\",\"event\":\"dropped\",\"reason\":\"Bounced Address\",\"sg_event_id\":\"ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA\",\"sg_message_id\":\"LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C-9.0\",\"smtp-id\":\"<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>\",\"timestamp\":1600112492}]\r\n",
        at: "1600112502",
    },
    // Our own; body and key from stripe-python, tests/test_webhook.
    Vector {
        provider: "stripe",
        secret: "whsec_test_secret",
        url: "",
        headers: &[
            "stripe-signature: t=1700000000,v1=3bfab77baf5f7b6991a46c9b53b6547d7afc56148b10468fcad9f35c1992ffbd",
        ],
        body: "{\n  \"id\": \"evt_test_webhook\",\n  \"object\": \"event\",\n  \"data\": { \"object\": { \"id\": \"rdr_123\", \"object\": \"terminal.reader\" } }\n}",
        at: "1700000000",
    },
];

fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// `hookbus verify`, of headers and a body.
async fn verify(vector: &Vector, body: &str, at: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let headers = write(folder.path(), "headers", &vector.headers.join("\n"));
    let body = write(folder.path(), "body", body);
    let mut arguments = vec!["verify", "--provider", vector.provider, "--secret", vector.secret];
    arguments.extend(["--headers", headers.to_str().unwrap(), "--body", body.to_str().unwrap()]);
    arguments.extend(["--at", at]);
    if !vector.url.is_empty() {
        arguments.extend(["--url", vector.url]);
    }
    let output = run(&arguments).await;
    let said = [&*output.stdout, &*output.stderr].concat();
    // Public keys are none, and `test` is a word.
    let is_public = ["discord", "sendgrid", "sanity"].contains(&vector.provider);
    let is_secret = !is_public && !vector.secret.starts_with("whpk_");
    assert!(!is_secret || !said.contains(vector.secret), "{said}");
    output
}

#[tokio::test]
async fn published_vectors_are_accepted_at_their_time() {
    let mut wrong = Vec::new();
    for vector in &VECTORS {
        let found = verify(vector, vector.body, vector.at).await;
        if found.code != Some(0) || !found.stdout.contains("\naccepted: ") {
            wrong.push(format!("{}: {found:?}", vector.provider));
        }
        // What these sign is the URL alone, members of the body, or a time.
        let covers_body = match vector.provider {
            "adyen" | "mercado-pago" => false,
            "plivo" => !vector.body.is_empty(),
            _ => true,
        };
        let changed = format!("{}x=1", vector.body);
        let found = verify(vector, &changed, vector.at).await;
        if found.code != Some(1) && covers_body {
            wrong.push(format!("{} with another body: {found:?}", vector.provider));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn a_twilio_url_covers_the_body_by_its_hash() {
    let url = "https://mycompany.com/myapp.php?foo=1&bar=2&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620";
    let folder = tempfile::tempdir().unwrap();
    for (body, code) in [
        (r#"{"property": "value", "boolean": true}"#, Some(0)),
        (r#"{"property": "value", "boolean": false}"#, Some(1)),
    ] {
        let path = url.strip_prefix("https://mycompany.com").unwrap();
        let request = format!(
            "POST {path} HTTP/1.1\r\nhost: mycompany.com\r\ncontent-type: application/json\r\nx-twilio-signature: a9nBmqA0ju/hNViExpshrM61xv4=\r\n\r\n{body}"
        );
        let file = write(folder.path(), "request", &request);
        let file = file.to_str().unwrap();
        let found = run(&[
            "verify",
            "--provider",
            "twilio-events",
            file,
            "--secret",
            "12345",
            "--url",
            url,
        ])
        .await;
        assert_eq!(found.code, code, "{found:?}");
        assert_eq!(found.stdout.contains("(body-changed)"), code == Some(1), "{found:?}");
    }
}

#[tokio::test]
async fn what_is_wrong_is_said_step_by_step() {
    let stripe = VECTORS.iter().find(|vector| vector.provider == "stripe").unwrap();
    let late = verify(stripe, stripe.body, "1700001200").await;
    assert_eq!(late.code, Some(1));
    for line in [
        "  ok  header     `stripe-signature` can be read",
        "  no  time       signed 20m before now, 5m are allowed",
        "  ok  signature  it is that of this body",
        "refused (too-old): it was signed 20m ago",
        "hint: ",
    ] {
        assert!(late.stdout.contains(line), "{line} is not in {}", late.stdout);
    }
    let changed = verify(stripe, &format!("{}\n", stripe.body), stripe.at).await;
    assert_eq!(changed.code, Some(1));
    let said =
        "refused (body-changed): the signature fits the body without the line break at its end";
    assert!(changed.stdout.contains(said), "{}", changed.stdout);
}

#[tokio::test]
async fn another_url_that_fits_is_what_public_url_should_be() {
    let twilio = VECTORS.iter().find(|vector| vector.provider == "twilio").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let headers = twilio.headers.join("\r\n");
    let request = format!(
        "POST /myapp.php?foo=1&bar=2 HTTP/1.1\r\nhost: mycompany.com\r\n{headers}\r\n\r\n{}",
        twilio.body
    );
    let file = write(folder.path(), "request", &request);
    let base = ["verify", "--provider", "twilio", file.to_str().unwrap(), "--secret", "12345"];
    for url in ["http://mycompany.com/myapp.php", "https://10.0.0.7:8080/hooks"] {
        let found = run(&[&base[..], &["--url", url]].concat()).await;
        assert_eq!(found.code, Some(1), "{found:?}");
        let hint = "hint: set `public_url = \"https://mycompany.com/myapp.php\"`";
        assert!(found.stdout.contains(hint), "{}", found.stdout);
    }
}

#[tokio::test]
async fn an_endpoint_of_a_configuration_is_known_with_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = |name: &str, secret: &str| {
        format!(
            "[[endpoint]]\nname = \"{name}\"\npath = \"/{name}\"\nsource = \"stripe\"\n[[endpoint.auth]]\nkind = \"signature\"\nsecrets = [\"{secret}\"]\n"
        )
    };
    let text =
        format!("[nats]\n{}{}", endpoint("test", "another"), endpoint("live", "whsec_test_secret"));
    let config = write(folder.path(), "hookbus.toml", &text);
    let config = config.to_str().unwrap();
    let stripe = VECTORS.iter().find(|vector| vector.provider == "stripe").unwrap();
    let curl = format!(
        "* Connected\n> POST /test HTTP/1.1\n> Host: h\n> {}\n>\n< HTTP/1.1 401\n",
        stripe.headers[0]
    );
    let request = write(folder.path(), "curl", &curl);
    let body = write(folder.path(), "body", stripe.body);
    let verify = async |endpoint: &str| {
        let files = [request.to_str().unwrap(), "--body", body.to_str().unwrap()];
        run(&[&["verify", endpoint][..], &files, &["--config", config, "--at", stripe.at]].concat())
            .await
    };
    let live = verify("live").await;
    assert_eq!(live.code, Some(0), "{live:?}");
    let test = verify("test").await;
    assert_eq!(test.code, Some(1), "{test:?}");
    assert!(test.stdout.contains("(other-endpoint)"), "{}", test.stdout);
    assert!(test.stdout.contains("`live`"), "{}", test.stdout);
    let misspelt = verify("lives").await;
    assert_eq!(misspelt.code, Some(2));
    assert!(misspelt.stderr.contains("did you mean `live`?"), "{}", misspelt.stderr);
}
