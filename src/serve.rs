//! The one place where parts are built and wired, and where they are stopped.

mod files;
mod offline;
mod outlets;
mod reload;
mod signals;
mod start;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{info, warn};

use self::files::Files;
pub use self::offline::Offline;
use self::reload::Reload;
pub use self::signals::{Manner, Signals};
use self::start::Parts;
use crate::admin::{self, Guard};
use crate::config::Config;
use crate::discovery::Workers;
use crate::nats::streams::{Finding, Findings, Needs};
use crate::receive;
use crate::server::{self, Shutdown};
use crate::spool;
use crate::telemetry::health::Health;
use crate::tls::Anonymous;

/// How long the start waits for brokers before it goes on without them.
const START: Duration = Duration::from_secs(5);

/// How long what is given up may take to reach the disk, and its senders their answers.
const GIVING_UP: Duration = Duration::from_secs(5);

/// How long before the end events are left to the disk, so that their senders hear of it.
const FAREWELL: Duration = Duration::from_millis(200);

/// How often the streams are looked at again.
const LOOK: Duration = Duration::from_secs(10);

/// Where it listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// The public listener.
    pub http: SocketAddr,
    /// The admin listener.
    pub admin: SocketAddr,
}

/// Why it doesn't run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An address that can't be listened on.
    #[error(
        "can't listen on {address} ({key}): {source}\nhint: {}",
        if source.kind() == std::io::ErrorKind::AddrInUse {
            "another program, or another hookbus, listens there: stop it, or choose another port"
        } else {
            "choose an address of this machine, and a port that this user may use"
        }
    )]
    Listen {
        /// The configured address.
        address: SocketAddr,
        /// Its key in the configuration.
        key: &'static str,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something in the configuration that only building it shows.
    #[error("{0}")]
    Config(String),
    /// What couldn't be stored would have nowhere to go.
    #[error(transparent)]
    Spool(#[from] spool::Error),
    /// The streams of the server and the configuration contradict each other.
    #[error("{}", lines(.0))]
    Streams(Vec<Finding>),
    /// The system refused something else.
    #[error(transparent)]
    System(#[from] std::io::Error),
}

impl Error {
    /// What the process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Streams(_) => 2,
            Self::Listen { .. } | Self::Spool(_) | Self::System(_) => 1,
        }
    }
}

/// Each with its hint. Whoever shows an error begins it with `error: `.
fn lines(findings: &[Finding]) -> String {
    let lines: Vec<_> = findings
        .iter()
        .map(|finding| format!("{}\nhint: {}", finding.problem, finding.hint))
        .collect();
    lines.join("\nerror: ")
}

/// Run until it is asked to end, then stop in order. `ready` is called once it serves. With a `file` it can be told to
/// read that again; without one it is a trial on one machine.
pub async fn run(
    config: Config,
    file: Option<PathBuf>,
    signals: &Signals,
    ready: impl FnOnce(Addresses),
) -> Result<(), Error> {
    let listen = |address, key| {
        server::bind(address).map_err(|source| Error::Listen { address, key, source })
    };
    let http = listen(config.http.listen, "http.listen")?;
    let admin = listen(config.admin.listen, "admin.listen")?;
    let addresses = Addresses { http: http.local_addr()?, admin: admin.local_addr()? };

    let limit = files::raise(&config);
    let mut background = JoinSet::new();
    // From here on something may be on its way to a broker: a signal ends it in order.
    signals.begun();
    let parts = Parts::build(&config, &mut background)?;
    if file.is_none() {
        parts.needs.store(Arc::new(Needs::new(&config).alone()));
    }
    let timeouts = server::Timeouts {
        head: config.http.header_timeout.get(),
        keep_alive: config.http.keep_alive.get(),
        write: config.http.write_timeout.get(),
    };
    let files = Files::share(limit, &config.http, parts.destinations.count());
    let tls = config.http.tls.as_ref();
    let http_tls = parts.tls("http.tls", tls, Anonymous::Refused, &mut background)?;
    let tls = config.admin.tls.as_ref();
    let admin_tls = parts.tls("admin.tls", tls, Anonymous::Allowed, &mut background)?;
    let guard = Arc::new(Guard::new(addresses.admin.ip(), &config.admin));
    let workers = Arc::new(Workers::new(&config));
    let (asking, asked) = mpsc::channel(1);
    let admin_router = admin::router(
        parts.bridge.clone(),
        parts.destinations.clone(),
        parts.health.clone(),
        parts.replays.clone(),
        workers.clone(),
        asking,
        guard.clone(),
    );
    let admin_settings = server::Settings {
        tls: admin_tls,
        router: admin_router,
        timeouts,
        max_connections: files.admin,
        wants_peers: Arc::default(),
        senders: None,
    };
    // It answers until the very end.
    let (shutdown, admin_shutdown) = (Shutdown::new(), Shutdown::new());
    background.spawn(server::serve(admin, admin_settings, admin_shutdown.clone()));

    let began = Instant::now();
    let findings = tokio::select! {
        findings = parts.first_look(began + START) => findings.unwrap_or_default(),
        // Nothing was served yet, and no load balancer has to notice that it ends.
        () = signals.end() => {
            parts.health.set_draining();
            admin_shutdown.announce();
            parts.drain(&shutdown, Instant::now() + config.http.drain.get()).await;
            info!("stopped before it served anything");
            return Ok(());
        }
    };
    if !findings.refused.is_empty() {
        return Err(Error::Streams(findings.refused));
    }
    let Parts { bridge, served, health, .. } = &*parts;
    let settings = server::Settings {
        tls: http_tls,
        router: receive::router(bridge.clone(), served.clone(), health.clone()),
        timeouts,
        max_connections: files.connections,
        wants_peers: served.wants_peers(),
        senders: Some(bridge.activity.followed()),
    };
    background.spawn(server::serve(http, settings, shutdown.clone()));
    ready(addresses);
    info!(http = %addresses.http, admin = %addresses.admin, "serving");
    background.spawn(start_over(parts.health.clone(), began + START));
    background.spawn(keep_looking(parts.clone(), findings));

    let (times, mut current) = watch::channel(Times::of(&config));
    if let Some(file) = file {
        let reload = Reload::new(file, config, parts.clone(), (guard, workers), times);
        background.spawn(reload.serve(signals.hangups(), asked));
    }

    signals.end().await;
    parts.health.set_draining();
    shutdown.announce();
    admin_shutdown.announce();
    parts.replays.stop();
    let Times { delay, drain } = *current.borrow_and_update();
    info!(delay = %humantime::format_duration(delay), "stopping");
    tokio::time::sleep(delay).await;
    parts.drain(&shutdown, Instant::now() + drain).await;
    info!("stopped");
    background.shutdown().await;
    Ok(())
}

/// How long the end may take.
#[derive(Debug, Clone, Copy)]
struct Times {
    delay: Duration,
    drain: Duration,
}

impl Times {
    fn of(config: &Config) -> Self {
        Self { delay: config.http.shutdown_delay.get(), drain: config.http.drain.get() }
    }
}

/// Call the start over when every broker is connected, or was waited for long enough.
async fn start_over(health: Arc<Health>, deadline: Instant) {
    while !health.all_connected() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for broker in health.down() {
        warn!(broker, "serving without this broker; still trying to connect");
    }
    health.set_started();
}

/// Look at the streams again after each connect, and from time to time: they are other people's too.
async fn keep_looking(parts: Arc<Parts>, mut known: Findings) {
    loop {
        known.settle();
        if let Some(findings) = parts.look().await
            && findings != known
        {
            parts.say(&findings);
            known = findings;
        }
        let lost = timeout(LOOK, parts.events_lost());
        // Both ways it is time to look again.
        let _ = lost.await;
        parts.events_connected().await;
    }
}

impl Parts {
    /// Wait for what is in flight: connections first, then what goes on without one, such as copies
    /// and the walks of senders that hung up. What the brokers don't acknowledge by then goes to the disk. Connections
    /// are not waited for any longer than that, whatever their clients do.
    async fn drain(&self, public: &Shutdown, deadline: Instant) {
        let limits = &self.bridge.limits;
        let mut ended = pin!(async {
            public.drain(|| limits.in_flight() > 0).await;
            none_left(|| limits.in_flight()).await;
        });
        let left = deadline.saturating_duration_since(Instant::now());
        let last = deadline - FAREWELL.min(left / 10);
        if timeout_at(last, &mut ended).await.is_err() {
            info!(
                in_flight = limits.in_flight(),
                "what is not acknowledged yet is left to the disk"
            );
            self.destinations.give_up();
            if timeout_at(deadline, ended).await.is_err() {
                // Only the disk is still waited for: no question gets an answer any more.
                let _ = timeout(GIVING_UP, none_left(|| limits.events_in_flight())).await;
                public.end();
                if limits.in_flight() > 0 {
                    warn!(in_flight = limits.in_flight(), "what is still in flight is given up");
                }
            }
        }
        // What was published from the disk but isn't called done there would be published again.
        self.destinations.hold();
        if timeout_at(deadline, self.destinations.held()).await.is_err() {
            self.destinations.give_up();
            let _ = timeout(GIVING_UP, self.destinations.held()).await;
        }
        self.flush(deadline).await;
        // What was published again has to be known to the disk, or it is published once more after the next start.
        let _ = timeout_at(deadline.max(Instant::now() + GIVING_UP), self.replays.idle()).await;
        if let Some(shelf) = self.destinations.shelf().cloned() {
            // It waits for the disk; a panic in there would have nothing left to lose.
            let _ = tokio::task::spawn_blocking(move || shelf.close()).await;
        }
    }

    /// Tell the log and `/readyz` what was found.
    fn say(&self, findings: &Findings) {
        for text in &findings.done {
            info!("{text}");
        }
        for text in &findings.warnings {
            warn!("{text}");
        }
        for text in &findings.uncovered {
            warn!("{text}; trying on");
        }
        for text in &findings.unkept {
            warn!("{text}");
        }
        let problems = findings.refused.iter().chain(&findings.uncovered).chain(&findings.unkept);
        let problems: Vec<_> = problems.map(ToString::to_string).collect();
        for text in &findings.refused {
            tracing::error!("{text}");
        }
        if problems.is_empty() {
            self.health.clear(STREAMS);
        } else {
            self.health.report(STREAMS, problems.join("; "));
        }
    }

    /// Look at the streams once, before anything is served, if there is a connection.
    async fn first_look(&self, deadline: Instant) -> Option<Findings> {
        if !timeout_at(deadline, self.events_attempted()).await.unwrap_or(false) {
            return None;
        }
        let findings = self.look().await?;
        self.say(&findings);
        Some(findings)
    }

    async fn look(&self) -> Option<Findings> {
        let link = self.events.as_ref()?;
        let (client, needs) = (link.client()?, self.needs.load_full());
        let found = tokio::select! {
            found = needs.meet(&client) => found,
            // Nothing comes over this connection any more.
            () = link.lost() => return None,
        };
        match found {
            Ok(findings) => Some(findings),
            Err(error) => {
                warn!(%error, "the streams could not be checked");
                None
            }
        }
    }
}

/// Wait until nothing of this is left.
async fn none_left(count: impl Fn() -> usize) {
    while count() > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The subject of problems with streams.
const STREAMS: &str = "streams";
