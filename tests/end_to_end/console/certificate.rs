//! A bridge that asks for a client certificate: the browser logs in with it, and the page works without a token.

use crate::support::certificates::{Authority, quoted};
use crate::support::{Bridge, Browser, HOOK, http::Client, nats};
use serde_json::Value;

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_logs_in() {
    let Some(authority) = Authority::new("test authority") else { return };
    let Some(nats) = nats::shared().await else { return };
    let Some(mut browser) = Browser::start() else { return };
    let tls = authority.sign_server("admin").section("admin.tls", ["cert", "key"]);
    let ca = quoted(&authority.cert());
    let text = format!("[admin]\nlisten = \"{{admin}}\"\n{tls}client_ca = {ca}\n{HOOK}");
    let operator = authority.sign("operator");
    let client = Client::trusting(&authority.cert(), Some(&operator));
    let bridge = Bridge::config(&text).client(client).nats(nats).start_ready().await;
    let path = |path: &std::path::Path| Value::from(path.to_str().unwrap());
    let code = format!(
        "const url = {url};
         const open = async (certificates) => {{
             const known = await context.browser().newContext({{ignoreHTTPSErrors: true, clientCertificates: certificates}});
             const page = await known.newPage();
             page.setDefaultTimeout(20_000);
             const errors = [];
             page.on('pageerror', (error) => errors.push(error.message));
             return {{known, page, errors, response: await page.goto(url + '#/overview')}};
         }};
         const nobody = await open([]);
         assert.equal(nobody.response.status(), 403);
         await nobody.page.getByText('this needs a client certificate').waitFor();
         await nobody.known.close();
         const operator = await open([{{origin: new URL(url).origin, certPath: {cert}, keyPath: {key}}}]);
         await operator.page.getByText('nats: connected').waitFor();
         assert.equal(await operator.page.getByRole('dialog').count(), 0);
         await operator.page.getByRole('link', {{name: 'Live'}}).click();
         await operator.page.getByText('Connected. The newest comes first.').waitFor();
         const reloaded = await operator.page.evaluate(async () => (await fetch('/reload', {{method: 'POST'}})).status);
         assert.equal(reloaded, 200);
         assert.deepEqual(operator.errors, []);
         await operator.known.close();",
        url = Value::from(bridge.admin_url("/")),
        cert = path(&operator.cert),
        key = path(&operator.key),
    );
    browser.run(&code);
}
