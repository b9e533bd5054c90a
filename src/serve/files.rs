//! Open files: how many this process may have, and who gets them.
//!
//! A connection that is accepted with the last one leaves none for the disk or for a broker, and every event that comes
//! is refused then. So connections get what is left of the limit when all others have their part.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{info, warn};

use crate::config::{Config, Endpoint, Http};

/// What the process has open by itself: listeners, the log, the runtime, the connections to the brokers (the client of
/// Kafka alone has three for each broker), the spool's own, and files that are read for a moment.
const OWN_FILES: u64 = 64;

/// What each destination has open on disk: what it appends to, what it reads, and the next one of each.
const FILES_PER_DESTINATION: u64 = 4;

/// Connections that the admin listener takes, at most.
const MAX_ADMIN_CONNECTIONS: u64 = 256;

/// How the files that may be open are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Files {
    /// Connections of the public listener.
    pub(super) connections: usize,
    /// Connections of the admin listener.
    pub(super) admin: usize,
}

/// Raise the limit of this process as far as it is needed and allowed; returns it.
pub(super) fn raise_file_limit(config: &Config) -> u64 {
    let was = getrlimit(Resource::Nofile);
    let needed = needed(config.http.max_connections, destinations(config));
    let limit = needed.max(was.current.unwrap_or(u64::MAX)).min(was.maximum.unwrap_or(u64::MAX));
    // A limit that can't be raised is reported like a hard one.
    let is_set = setrlimit(Resource::Nofile, Rlimit { current: Some(limit), ..was }).is_ok();
    if is_set { limit } else { was.current.unwrap_or(u64::MAX) }
}

impl Files {
    /// Share `limit` files out, and log the result. Each of the `destinations` has files open on disk.
    pub(super) fn share(limit: u64, http: &Http, destinations: usize) -> Self {
        let connections = http.max_connections;
        let files = share(limit, connections, destinations);
        if files.connections < connections {
            warn!(
                limit,
                needed = needed(connections, destinations),
                connections = files.connections,
                "fewer files may be open than `http.max_connections` needs, so fewer connections are accepted; raise the hard limit (`ulimit -Hn`, LimitNOFILE)"
            );
        } else {
            info!(limit, connections, "files that may be open");
        }
        files
    }
}

/// How many destinations a configuration names, some of them more than once.
fn destinations(config: &Config) -> usize {
    let of = |endpoint: &Endpoint| {
        let events = endpoint.events.iter().map(|rule| rule.to.len());
        let questions = endpoint.questions.iter().map(|rule| rule.copy_to.len());
        let tools = endpoint.tools.iter().map(|rule| rule.copy_to.len());
        let audit = endpoint.audit.iter().map(|audit| audit.to.len());
        // And one by default for events, another for jobs.
        events.chain(questions).chain(tools).chain(audit).sum::<usize>() + 2
    };
    config.endpoints.iter().map(of).sum()
}

/// What is kept for all others than connections: twice of what they have now, since a reload adds destinations, and a
/// cluster brokers.
fn own(destinations: usize) -> u64 {
    2 * FILES_PER_DESTINATION.saturating_mul(destinations as u64).saturating_add(OWN_FILES)
}

fn needed(connections: usize, destinations: usize) -> u64 {
    (connections as u64).saturating_add(own(destinations)).saturating_add(MAX_ADMIN_CONNECTIONS)
}

/// Share `limit` files out. However few there are, connections get nearly half of them: it serves what it can.
fn share(limit: u64, connections: usize, destinations: usize) -> Files {
    let left = limit - own(destinations).min(limit / 2);
    let admin = (left / 8).clamp(1, MAX_ADMIN_CONNECTIONS).min(left);
    let rest = usize::try_from(left - admin).unwrap_or(usize::MAX);
    Files { connections: connections.min(rest).max(1), admin: admin as usize }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_get_what_is_left() {
        for limit in [8, 64, 128, 256, 1_024, 4_096, 20_000, 1 << 20] {
            for (connections, destinations) in [(1, 1), (100, 3), (20_000, 1), (20_000, 50)] {
                let files = share(limit, connections, destinations);
                let taken = (files.connections + files.admin) as u64;
                let least = own(destinations).min(limit / 2);
                assert!(taken + least <= limit, "{files:?} of {limit}");
                assert!(files.connections >= 1 && files.connections <= connections, "{files:?}");
            }
        }
        // As many as were asked for, where the limit is that of a usual service.
        assert_eq!(share(needed(20_000, 2), 20_000, 2).connections, 20_000);
        assert_eq!(share(256, 20_000, 1), Files { connections: 112, admin: 16 });
        assert_eq!(share(1_024, 20_000, 1), Files { connections: 777, admin: 111 });
        assert_eq!(share(64, 20_000, 1), Files { connections: 28, admin: 4 });
    }
}
