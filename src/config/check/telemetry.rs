//! `[telemetry.otlp]`: whether a collector can be where it says.

use http::{HeaderName, HeaderValue};
use reqwest::Url;

use super::{Checks, shown, tls};
use crate::config::load::tree::Node;
use crate::config::{Otlp, OtlpProtocol};
use crate::http_client::is_loopback;

/// What the path of an endpoint may end with that is added to it anyway.
const PATHS: [&str; 3] = ["/v1/traces", "/v1/metrics", "/v1/logs"];

pub(super) fn check(checks: &mut Checks<'_, '_, '_>) {
    let Some(otlp) = &checks.config.telemetry.otlp else { return };
    let node = checks.root.get("telemetry").get("otlp");
    endpoint(checks, node, otlp);
    headers(checks, node.get("headers"), otlp);
    checks.not_zero(node, "metrics_interval", otlp.metrics_interval);
    checks.not_zero(node, "timeout", otlp.timeout);
    if let Some(path) = &otlp.tls_ca {
        tls::authorities(checks, node.get("tls_ca"), "tls_ca", path);
    }
    if otlp.signals.is_empty() {
        checks.error(
            node.get("signals"),
            "`signals` is empty: nothing would be sent",
            "write at least one, such as `signals = [\"traces\"]`, or take `[telemetry.otlp]` out",
        );
    }
}

fn endpoint(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, otlp: &Otlp) {
    let (at, port) = match otlp.protocol {
        OtlpProtocol::Grpc => (node.get("endpoint"), 4317),
        OtlpProtocol::Http => (node.get("endpoint"), 4318),
    };
    if at.is_broken() {
        return;
    }
    let url = Url::parse(&otlp.endpoint).ok().filter(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|it| !it.is_empty())
    });
    let Some(url) = url else {
        // It isn't shown: it may hold a password.
        checks.error(
            at,
            "this is not the address of a collector",
            format!("write `http://HOST:{port}`, or `https://HOST:{port}`"),
        );
        return;
    };
    if !url.username().is_empty() || url.password().is_some() {
        checks.error(
            at,
            "a login in the address of a collector is not sent",
            "write `authorization = \"Basic ...\"` or the like in `[telemetry.otlp.headers]`",
        );
        return;
    }
    let has_more = url.query().is_some() || url.fragment().is_some();
    if has_more || (otlp.protocol == OtlpProtocol::Grpc && url.path() != "/") {
        checks.error(
            at,
            format!("`{}` has more than a collector's address", shown(at, &otlp.endpoint)),
            match otlp.protocol {
                OtlpProtocol::Grpc => "with `protocol = \"grpc\"` there is nothing behind the port; with a path it is `protocol = \"http\"`",
                OtlpProtocol::Http => "nothing follows the path; what authenticates belongs in `[telemetry.otlp.headers]`",
            },
        );
        return;
    }
    if let Some(path) =
        PATHS.into_iter().find(|end| url.path().trim_end_matches('/').ends_with(end))
    {
        checks.warning(
            at,
            format!("`{path}` is added to the address once more"),
            format!("leave `{path}` out"),
        );
    }
    let (other, word) = match otlp.protocol {
        OtlpProtocol::Grpc => (4318, "http"),
        OtlpProtocol::Http => (4317, "grpc"),
    };
    if url.port() == Some(other) {
        checks.warning(
            at,
            format!("port {other} is that of collectors for `protocol = \"{word}\"`"),
            format!("write `protocol = \"{word}\"`, or the port {port}"),
        );
    }
    if url.scheme() == "http" && !is_loopback(&url) && !otlp.headers.is_empty() {
        checks.warning(
            at,
            "the headers go over the network unencrypted",
            "write `https://`, unless the network itself encrypts",
        );
    }
}

fn headers(checks: &mut Checks<'_, '_, '_>, node: Node<'_>, otlp: &Otlp) {
    for (name, value) in &otlp.headers {
        let at = node.get(name);
        if name.parse::<HeaderName>().is_err() {
            checks.error(
                at,
                format!("`{}` can't be the name of a header", name.escape_debug()),
                "names hold letters, digits and `-`",
            );
        } else if HeaderValue::from_str(value.expose()).is_err() {
            checks.error(
                at,
                format!("the value of `{name}` holds what no header can carry"),
                "set it to visible ASCII; a file may end with one line break",
            );
        }
    }
}
