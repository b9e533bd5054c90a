//! The one place where components are built and wired, and where they are stopped.

mod files;
mod offline;
mod brokers;
mod reload;
mod service_manager;
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
pub use self::signals::{SignalPolicy, Signals};
use self::start::Components;
use crate::admin::{self, Guard, History, Recent};
use crate::config::{Config, Signal};
use crate::discovery::Workers;
use crate::nats::streams::{Finding, Findings, RequiredStreams};
use crate::receive::Receiver;
use crate::server::{self, Shutdown};
use crate::spool;
use crate::telemetry::health::Health;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::otlp::{self, Otlp};
use crate::tls::Anonymous;

/// How long the start waits for brokers before it goes on without them.
const STARTUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Time for events that are given up to reach the disk, and for their senders to be answered.
const GIVE_UP_TIMEOUT: Duration = Duration::from_secs(5);

/// What stopping may take beyond the configured time, while the disk is waited for.
const MAX_OVERTIME: Duration = GIVE_UP_TIMEOUT.saturating_mul(4);

/// Time before the end at which unacknowledged events go to the disk, so that their senders still get an answer.
const DISK_HANDOVER: Duration = Duration::from_millis(200);

/// Time between two checks of the streams.
const STREAM_CHECK_INTERVAL: Duration = Duration::from_secs(10);

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
    /// What the collector is told can't be sent.
    #[error("[telemetry.otlp]: {0}")]
    Telemetry(#[from] otlp::Error),
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
            Self::Config(_) | Self::Telemetry(_) | Self::Streams(_) => 2,
            Self::Listen { .. } | Self::Spool(_) | Self::System(_) => 1,
        }
    }
}

/// Each with its hint. The caller that shows an error begins it with `error: `.
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

    let limit = files::raise_file_limit(&config);
    let mut background = JoinSet::new();
    // From here on something may be on its way to a broker: a signal ends it in order.
    signals.begun();
    let otlp = config.telemetry.otlp.as_ref();
    let metrics = Arc::new(Metrics::new(otlp.is_some_and(|otlp| otlp.sends(Signal::Traces))));
    let mut otlp = otlp.map(|otlp| Otlp::start(otlp, metrics.clone())).transpose()?;
    let tracer = otlp.as_ref().and_then(|otlp| otlp.tracer.clone());
    let components = Components::build(&config, metrics, tracer, &mut background)?;
    if let Some(otlp) = &mut otlp {
        let components = components.clone();
        otlp.send_metrics(move || {
            admin::metrics_text(&components.bridge, &components.destinations)
        });
    }
    if file.is_none() {
        components
            .required_streams
            .store(Arc::new(RequiredStreams::new(&config).for_one_machine()));
    }
    let timeouts = server::Timeouts {
        head: config.http.header_timeout.get(),
        keep_alive: config.http.keep_alive.get(),
        write: config.http.write_timeout.get(),
    };
    let files = Files::share(limit, &config.http, components.destinations.count());
    let tls = config.http.tls.as_ref();
    let http_tls = components.tls("http.tls", tls, Anonymous::Refused, &mut background)?;
    let tls = config.admin.tls.as_ref();
    let admin_tls = components.tls("admin.tls", tls, Anonymous::Allowed, &mut background)?;
    let guard = Arc::new(Guard::new(addresses.admin.ip(), &config.admin));
    let workers = Arc::new(Workers::new(&config));
    let (asking, end_requested) = mpsc::channel(1);
    let history =
        Arc::new(History::new(components.bridge.clone(), components.destinations.clone()));
    background.spawn(history.clone().keep());
    let recent = Recent::new(components.bridge.clone(), &config.tail);
    let admin_router = admin::router(admin::Parts {
        bridge: components.bridge.clone(),
        table: components.table.clone(),
        destinations: components.destinations.clone(),
        health: components.health.clone(),
        spool_tasks: components.spool_tasks.clone(),
        workers: workers.clone(),
        history,
        recent: recent.clone(),
        asking,
        guard: guard.clone(),
        trial: file.is_none().then(|| admin::Trial::new(&config)),
    });
    let admin_settings = server::Settings {
        tls: admin_tls,
        handler: server::Handler::Admin(admin_router),
        timeouts,
        max_connections: files.admin,
    };
    // It answers until the very end.
    let (shutdown, admin_shutdown) = (Shutdown::new(), Shutdown::new());
    background.spawn(server::serve(admin, admin_settings, admin_shutdown.clone()));

    let began = Instant::now();
    let findings = tokio::select! {
        findings = components.check_streams(began + STARTUP_TIMEOUT) => findings.unwrap_or_default(),
        // Nothing was served yet, and no load balancer has to notice that it ends.
        () = signals.end() => {
            components.health.set_draining();
            admin_shutdown.announce();
            components.drain(&shutdown, Instant::now() + config.http.drain.get()).await;
            info!("stopped before it served anything");
            stop(otlp).await;
            return Ok(());
        }
    };
    if !findings.refused.is_empty() {
        return Err(Error::Streams(findings.refused));
    }
    let Components { bridge, table, health, .. } = &*components;
    let receiver =
        Receiver { bridge: bridge.clone(), table: table.clone(), health: health.clone() };
    let settings = server::Settings {
        tls: http_tls,
        handler: server::Handler::Webhooks(receiver.into()),
        timeouts,
        max_connections: files.connections,
    };
    background.spawn(server::serve(http, settings, shutdown.clone()));
    ready(addresses);
    info!(http = %addresses.http, admin = %addresses.admin, "serving");
    background.spawn(finish_startup(components.health.clone(), began + STARTUP_TIMEOUT));
    background.spawn(service_manager::stay_alive());
    background.spawn(watch_streams(components.clone(), findings));

    let (times, mut current) = watch::channel(Times::of(&config));
    if let Some(file) = file {
        let reload = Reload::new(file, config, components.clone(), (guard, workers, recent), times);
        background.spawn(reload.serve(signals.hangups(), end_requested));
    }

    signals.end().await;
    components.health.set_draining();
    shutdown.announce();
    admin_shutdown.announce();
    components.spool_tasks.stop();
    let Times { delay, drain } = *current.borrow_and_update();
    service_manager::stopping(delay + drain + MAX_OVERTIME);
    info!(delay = %humantime::format_duration(delay), "stopping");
    tokio::time::sleep(delay).await;
    components.drain(&shutdown, Instant::now() + drain).await;
    info!("stopped");
    stop(otlp).await;
    background.shutdown().await;
    Ok(())
}

/// Let the collector have the last lines.
async fn stop(otlp: Option<Otlp>) {
    if let Some(otlp) = otlp {
        otlp.stop().await;
    }
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

/// Finish the start when every broker is connected, or the deadline has passed.
async fn finish_startup(health: Arc<Health>, deadline: Instant) {
    while !health.all_connected() && Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for broker in health.down() {
        warn!(broker, "serving without this broker; still trying to connect");
    }
    health.set_started();
    service_manager::ready();
}

/// Check the streams after each connect, and from time to time: others may change them too.
async fn watch_streams(components: Arc<Components>, mut known: Findings) {
    loop {
        known.settle();
        if let Some(findings) = components.find_streams().await
            && findings != known
        {
            components.log(&findings);
            known = findings;
        }
        let lost = timeout(STREAM_CHECK_INTERVAL, components.events_lost());
        // Either way it is time to check again.
        let _ = lost.await;
        components.events_connected().await;
    }
}

impl Components {
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
        let last = deadline - DISK_HANDOVER.min(left / 10);
        if timeout_at(last, &mut ended).await.is_err() {
            info!(
                in_flight = limits.in_flight(),
                "what is not acknowledged yet is left to the disk"
            );
            self.destinations.give_up();
            if timeout_at(deadline, ended).await.is_err() {
                // Only the disk is still waited for: no question gets an answer any more.
                let _ = timeout(GIVE_UP_TIMEOUT, none_left(|| limits.events_in_flight())).await;
                public.end();
                if limits.in_flight() > 0 {
                    warn!(in_flight = limits.in_flight(), "what is still in flight is given up");
                }
            }
        }
        // What was published from the disk but isn't called done there would be published again.
        self.destinations.pause();
        if timeout_at(deadline, self.destinations.settled()).await.is_err() {
            self.destinations.give_up();
            let _ = timeout(GIVE_UP_TIMEOUT, self.destinations.settled()).await;
        }
        self.flush(deadline).await;
        // What was published again has to be known to the disk, or it is published once more after the next start.
        let _ = timeout_at(deadline.max(Instant::now() + GIVE_UP_TIMEOUT), self.spool_tasks.idle())
            .await;
        if let Some(spool) = self.destinations.spool().cloned() {
            // It waits for the disk; a panic in there would have nothing left to lose.
            let _ = tokio::task::spawn_blocking(move || spool.close()).await;
        }
    }

    /// Log what was found, and show it in `/readyz`.
    fn log(&self, findings: &Findings) {
        for text in &findings.done {
            info!("{text}");
        }
        for text in &findings.warnings {
            warn!("{text}");
        }
        for text in &findings.uncovered {
            warn!("{text}; retrying");
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
            self.health.clear(STREAMS_SUBJECT);
        } else {
            self.health.report(STREAMS_SUBJECT, problems.join("; "));
        }
    }

    /// Check the streams once, before anything is served, if there is a connection.
    async fn check_streams(&self, deadline: Instant) -> Option<Findings> {
        if !timeout_at(deadline, self.events_attempted()).await.unwrap_or(false) {
            return None;
        }
        let findings = self.find_streams().await?;
        self.log(&findings);
        Some(findings)
    }

    async fn find_streams(&self) -> Option<Findings> {
        let connection = self.events.as_ref()?;
        let (client, required_streams) = (connection.client()?, self.required_streams.load_full());
        let found = tokio::select! {
            found = required_streams.ensure(&client) => found,
            // Nothing comes over this connection any more.
            () = connection.lost() => return None,
        };
        match found {
            Ok(findings) => {
                self.health.clear(DECLARED_STREAMS_SUBJECT);
                Some(findings)
            }
            Err(error) => {
                warn!(%error, "the streams could not be checked");
                let names = required_streams.declared_names();
                if !names.is_empty() {
                    let problem =
                        format!("{names} could not be looked at, nor created if missing: {error}");
                    self.health.report(DECLARED_STREAMS_SUBJECT, problem);
                }
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

/// The subject of declared streams that nothing is known of.
const DECLARED_STREAMS_SUBJECT: &str = "declared streams";

/// The subject of problems with streams.
const STREAMS_SUBJECT: &str = "streams";
