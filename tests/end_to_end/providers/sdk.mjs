// Signs and verifies webhooks with what providers give their users (deploy/tools/sdks/package.json): the same lines in
// and out as sdk.py. `{"do": "payloads"}` gives the payloads of @octokit/webhooks-examples.
//
// Run by `node --input-type=module --eval`, so that the packages are those of the working directory.
import { createInterface } from "node:readline";

async function accepts(check) {
  try {
    return Boolean(await check());
  } catch {
    return false;
  }
}

const SIGN = {
  async github(secret, url, body) {
    const { sign } = await import("@octokit/webhooks-methods");
    return { "x-hub-signature-256": await sign(secret, body) };
  },
  // As GitHub does, in another header.
  async bitbucket(secret, url, body) {
    const { sign } = await import("@octokit/webhooks-methods");
    return { "x-hub-signature": await sign(secret, body) };
  },
  async hubspot(secret, url, body, now) {
    const { Signature } = await import("@hubspot/api-client");
    const timestamp = now * 1000;
    const signature = Signature.getSignature("POST", "v3", { clientSecret: secret, url, requestBody: body, timestamp });
    return { "x-hubspot-signature-v3": signature, "x-hubspot-request-timestamp": String(timestamp) };
  },
  async notion(secret, url, body) {
    const { signWebhookPayload } = await import("@notionhq/client");
    return { "x-notion-signature": await signWebhookPayload({ body, verificationToken: secret }) };
  },
  async sanity(secret, url, body, now) {
    const { encodeSignatureHeader } = await import("@sanity/webhook");
    return { "sanity-webhook-signature": await encodeSignatureHeader(body, now * 1000, secret) };
  },
};
SIGN.jira = SIGN.bitbucket;

const VERIFY = {
  async github(secret, url, body, headers) {
    const { verify } = await import("@octokit/webhooks-methods");
    return verify(secret, body, headers["x-hub-signature-256"]);
  },
  async paddle(secret, url, body, headers) {
    const { Paddle } = await import("@paddle/paddle-node-sdk");
    return new Paddle("none").webhooks.isSignatureValid(body, secret, headers["paddle-signature"]);
  },
  async linear(secret, url, body, headers) {
    const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
    return accepts(() => new LinearWebhookClient(secret).verify(Buffer.from(body), headers["linear-signature"]));
  },
  async shopify(secret, url, body, headers) {
    await import("@shopify/shopify-api/adapters/web-api");
    const { shopifyApi, ApiVersion } = await import("@shopify/shopify-api");
    const shopify = shopifyApi({
      apiKey: "none",
      apiSecretKey: secret,
      scopes: [],
      hostName: new URL(url).host,
      apiVersion: Object.values(ApiVersion)[0],
      isEmbeddedApp: false,
      logger: { log: () => {} },
    });
    // It wants them all; a sample brings those that hookbus reads.
    const usual = {
      "x-shopify-topic": "orders/create",
      "x-shopify-shop-domain": "acme.myshopify.com",
      "x-shopify-api-version": "2026-10",
      "x-shopify-webhook-id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043",
    };
    const rawRequest = new Request(url, { method: "POST", headers: { ...usual, ...headers }, body });
    return (await shopify.webhooks.validate({ rawBody: body, rawRequest })).valid;
  },
  async clerk(secret, url, body, headers) {
    const { verifyWebhook } = await import("@clerk/backend/webhooks");
    const request = new Request(url, { method: "POST", headers, body });
    return accepts(async () => (await verifyWebhook(request, { signingSecret: secret })) ?? true);
  },
  async resend(secret, url, body, headers) {
    const { Resend } = await import("resend");
    const of = (name) => headers[`svix-${name}`];
    const signed = { id: of("id"), timestamp: of("timestamp"), signature: of("signature") };
    return accepts(() => new Resend("re_none").webhooks.verify({ payload: body, headers: signed, webhookSecret: secret }));
  },
  async hubspot(secret, url, body, headers) {
    const { Signature } = await import("@hubspot/api-client");
    return Signature.isValid({
      method: "POST",
      signatureVersion: "v3",
      clientSecret: secret,
      url,
      requestBody: body,
      timestamp: Number(headers["x-hubspot-request-timestamp"]),
      signature: headers["x-hubspot-signature-v3"],
    });
  },
  async notion(secret, url, body, headers) {
    const { verifyWebhookSignature } = await import("@notionhq/client");
    return verifyWebhookSignature({ body, signature: headers["x-notion-signature"], verificationToken: secret });
  },
  async sanity(secret, url, body, headers) {
    const { isValidSignature } = await import("@sanity/webhook");
    return isValidSignature(body, headers["sanity-webhook-signature"], secret);
  },
};

async function payloads() {
  const { default: events } = await import("@octokit/webhooks-examples", { with: { type: "json" } });
  return events.flatMap(({ name, examples }) => examples.map((example) => ({ name, body: JSON.stringify(example) })));
}

async function answer(request) {
  const { provider, secret, url, body, headers } = request;
  switch (request.do) {
    case "payloads":
      return { payloads: await payloads() };
    case "verify":
      return { accepts: await VERIFY[provider](secret, url, body, headers) };
    default:
      return { headers: await SIGN[provider](secret, url, body, Math.floor(Date.now() / 1000)), url };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let result;
  try {
    result = await answer(JSON.parse(line));
  } catch (error) {
    result = { error: String(error) };
  }
  console.log(JSON.stringify(result));
}
