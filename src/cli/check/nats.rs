//! Asking NATS: is it there, what do its streams take, how large may a message be, who answers.

use std::sync::Arc;

use super::report::{BrokerFindings, larger_events};
use super::{permissions, workers};
use crate::config::Config;
use crate::nats::streams::RequiredStreams;
use crate::nats::{BROKER, Notices, Settings};

/// What the configured NATS says; nothing where there is none.
pub(super) async fn ask(config: &Config) -> Option<BrokerFindings> {
    let nats = config.nats.as_ref()?;
    let mut report = BrokerFindings::new(BROKER);
    let settings = match Settings::new(nats) {
        Ok(settings) => settings,
        Err(error) => {
            report.wrong(error.to_string(), "write it like \"nats://127.0.0.1:4222\"");
            return Some(report);
        }
    };
    let notices = Arc::new(Notices::watched());
    let client = match settings.connect(notices.clone()).await {
        Ok(client) => client,
        Err(error) => {
            report.unreachable(
                error.to_string(),
                "compare `servers` and the credentials in [nats] with what the server expects",
            );
            return Some(report);
        }
    };
    let server = client.server_info();
    report.reached(format!(
        "`{}`, nats-server {}, at {}:{}",
        server.server_name, server.version, server.host, server.port
    ));
    let max_body = config.http.max_body;
    if server.max_payload < max_body.get() {
        report.warn(
            format!(
                "the server takes no message over {} bytes (max_payload), but `http.max_body` is {max_body}: {}, and larger questions end as `too-large`",
                server.max_payload,
                larger_events(config)
            ),
            "raise max_payload of the server, with some room for headers, or lower `http.max_body`",
        );
    }
    let required_streams = RequiredStreams::new(config);
    permissions::ask(&client, &notices, config, (nats, &required_streams), &mut report).await;
    let (streams, workers) =
        tokio::join!(required_streams.check(&client), workers::ask(&client, config, nats));
    match streams {
        Ok(findings) => {
            report.all_wrong(findings.refused);
            if server.domain.is_some() && nats.domain.is_none() {
                // Streams of another domain take events too, and can't be seen from here.
                report.warn_of_all(findings.uncovered);
            } else {
                report.all_wrong(findings.uncovered);
            }
            report.warn_of_all(findings.unkept);
            report.warn_of_all(findings.warnings);
            for text in findings.done {
                report.note(text);
            }
        }
        // Such a user can store and ask all the same.
        Err(error) if error.is_silence => report.warn(
            format!("the streams could not be looked at: {error}"),
            "to have them checked, let this user publish to `$JS.API.>`; events are stored without, if streams take their subjects",
        ),
        Err(error) if !required_streams.needs_streams() => report.warn(
            format!("asynchronous tool calls can't be stored: {error}"),
            "turn JetStream on at the server if there are any; nothing else needs it here",
        ),
        Err(error) => report.unreachable(
            error.to_string(),
            "turn JetStream on at the server, or name its `domain` in [nats] behind a leaf node",
        ),
    }
    workers.tell(&mut report);
    Some(report)
}
