//! The run of one fault: a bridge under load, what is done to it and to its brokers, and what is there afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::checker::{self, Verdict};
use crate::faults::Fault;
use crate::forwarding::Forwarding;
use crate::ground::Ground;
use crate::history::{Clock, Excused, History, Part, Trouble};
use crate::load::{Counts, Load};
use crate::meter::Meter;
use crate::options::Lengths;
use crate::random::Random;
use crate::readback;
use crate::reloads::Reloads;
use crate::setup;
use crate::subscriber::Live;
use crate::support::{Bridge, Haproxy, eventually};
use crate::webhook::Broker;
use crate::worker::Worker;

/// For everything that was spooled to reach its broker.
const DRAIN: Duration = Duration::from_secs(90);
pub(crate) const PARTITIONS: i32 = 6;
/// Events in the spool, by destination.
const RECORDS: &str = "hookbus_spool_records";

/// What a fault has at hand.
pub(crate) struct Stage<'a> {
    pub(crate) ground: &'a mut Ground,
    pub(crate) bridge: Bridge,
    /// Further ones, and what stands before all of them.
    others: Vec<Bridge>,
    proxy: Option<Haproxy>,
    pub(crate) lengths: Lengths,
    pub(crate) random: Random,
    pub(crate) excused: Excused,
    /// Of the stream and of the endpoint.
    pub(crate) name: String,
    pub(crate) clock: Clock,
    load: Load,
    reloads: Reloads,
    observers: Observers,
    /// Where the fault is about it.
    forwarding: Option<Forwarding>,
    late_bytes: u64,
    troubles: Vec<Trouble>,
    peak_bytes: u64,
}

/// Those who see what the bridge does, beside the senders.
struct Observers {
    worker: Worker,
    live: Live,
    meter: Arc<Meter>,
}

/// Plays one fault from its beginning to its verdict.
pub(crate) async fn play(
    fault: Fault,
    ground: &mut Ground,
    meter: Arc<Meter>,
    lengths: Lengths,
    mut random: Random,
) -> Verdict {
    let name = fault.name().to_owned();
    if let Some(broker) = fault.cluster() {
        ground.gather(broker).await;
    }
    setup::create_stream(ground, &name, fault.takes_all_types()).await;
    setup::create_topic(ground, &name, PARTITIONS).await;
    let clock = Clock::start();
    let observers = Observers {
        worker: Worker::start(ground.client().await, &format!("{name}.tool.>"), clock).await,
        live: Live::start(ground.client().await, &format!("{name}.live.>"), clock).await,
        meter,
    };
    let forwarding = match fault.is_forwarded() {
        true => Some(Forwarding::start(&ground.nats, &name, clock).await),
        false => None,
    };
    let setup = fault.setup(setup::of(ground, &name, fault.is_proxied()));
    let bridge = setup.clone().start_ready().await;
    let mut others = Vec::new();
    for _ in 1..fault.bridges() {
        others.push(setup.clone().start_ready().await);
    }
    let proxy = match others.as_slice() {
        [] => None,
        others => {
            let all = [&bridge].into_iter().chain(others);
            let servers: Vec<_> =
                all.map(|bridge| (bridge.address(), bridge.admin_address())).collect();
            Haproxy::start(&servers, "/readyz").await
        }
    };
    let address = proxy.as_ref().map_or_else(|| bridge.address(), Haproxy::address);
    let reloads = Reloads::start(&bridge, &name, random.part());
    let load = Load::start(&address, "/hook", fault.shape(lengths.shape), clock, &mut random);
    let mut stage = Stage {
        ground,
        bridge,
        others,
        proxy,
        lengths,
        random,
        excused: Excused::default(),
        name,
        clock,
        load,
        reloads,
        observers,
        forwarding,
        late_bytes: fault.late_bytes(),
        troubles: Vec::new(),
        peak_bytes: 0,
    };
    stage.until("events that are stored", |counts| counts.stored() >= 50).await;
    sleep(lengths.calm).await;
    fault.inject(&mut stage).await;
    stage.well_again().await;
    stage.end().await
}

impl Stage<'_> {
    /// Notes that a part is not well from now on.
    pub(crate) fn trouble(&mut self, part: Part) {
        let now = self.clock.now();
        self.troubles.push(Trouble { part, from: now, to: Duration::MAX });
    }

    /// Notes that it is well again.
    pub(crate) fn healed(&mut self, part: Part) {
        let now = self.clock.now();
        let open = |trouble: &&mut Trouble| trouble.part == part && trouble.to == Duration::MAX;
        self.troubles.iter_mut().find(open).expect("a trouble before its end").to = now;
    }

    /// Waits until the senders were told something.
    pub(crate) async fn until(&self, what: &str, enough: impl Fn(&Counts) -> bool) {
        let counts = self.load.counts();
        eventually(what, Duration::from_secs(30), async || enough(counts).then_some(())).await;
    }

    /// Waits until so many events more were spooled.
    pub(crate) async fn spooled(&self, more: u64) {
        let before = self.load.counts().spooled();
        self.until("spooled events", |counts| counts.spooled() >= before + more).await;
    }

    /// Waits until something more was refused.
    pub(crate) async fn refused(&self) {
        let before = self.load.counts().refused();
        self.until("refused events", |counts| counts.refused() > before).await;
    }

    /// What posts the events of the stream.
    pub(crate) fn forwarding(&mut self) -> &mut Forwarding {
        self.forwarding.as_mut().expect("a fault that is about it")
    }

    /// SIGSTOP to a broker.
    pub(crate) fn freeze(&mut self, broker: Broker) {
        self.trouble(Part::Stalled(broker));
        self.ground.freeze(broker, 0);
    }

    /// SIGCONT to a broker.
    pub(crate) fn thaw(&mut self, broker: Broker) {
        self.ground.thaw(broker, 0);
        self.healed(Part::Stalled(broker));
    }

    /// SIGKILL to the bridge.
    pub(crate) fn kill(&mut self) {
        self.trouble(Part::Bridge);
        self.look_at_memory();
        self.bridge.kill();
    }

    /// SIGTERM to the bridge, and its end.
    pub(crate) async fn terminate(&mut self) {
        self.trouble(Part::BridgeGently);
        self.look_at_memory();
        self.bridge.signal("TERM");
        let status = self.bridge.wait().await;
        assert_eq!(status.code(), Some(0), "{}", self.bridge.log());
    }

    /// Starts the bridge again, after either end. The trouble is over when it reads what was sent to it.
    pub(crate) async fn restart(&mut self) {
        self.bridge.restart().await;
        eventually("an answer", DRAIN, async || {
            self.bridge.client().try_get(&self.bridge.url("/")).await.ok()
        })
        .await;
        let now = self.clock.now();
        let ends = self
            .troubles
            .iter_mut()
            .filter(|trouble| trouble.part.is_bridge() && trouble.to == Duration::MAX);
        ends.for_each(|trouble| trouble.to = now);
    }

    /// Waits until the last trouble must show no more, and a little longer.
    async fn well_again(&self) {
        let ends = self.troubles.iter().map(|trouble| trouble.to + trouble.mend());
        let mended = ends.max().unwrap_or_default();
        sleep(mended.saturating_sub(self.clock.now()) + self.lengths.after).await;
    }

    /// What the senders were told so far.
    pub(crate) fn counts(&self) -> &Counts {
        self.load.counts()
    }

    /// Asks one of the bridges behind the proxy to stop, and starts it again. It is no trouble: whatever is sent
    /// meanwhile has to be answered.
    pub(crate) async fn roll(&mut self, round: usize) {
        self.look_at_memory();
        let number = round % (self.others.len() + 1);
        let bridge = match number {
            0 => &mut self.bridge,
            other => &mut self.others[other - 1],
        };
        bridge.signal("TERM");
        let status = bridge.wait().await;
        assert_eq!(status.code(), Some(0), "{}", bridge.log());
        bridge.restart().await;
        self.proxy.as_ref().expect("a proxy").is_up(number).await;
    }

    fn all(&self) -> impl Iterator<Item = &Bridge> {
        [&self.bridge].into_iter().chain(&self.others)
    }

    fn look_at_memory(&mut self) {
        let peak = self.all().map(Bridge::peak_rss_bytes).max().unwrap_or_default();
        self.peak_bytes = self.peak_bytes.max(peak);
    }

    /// Waits until the spool has less than it had.
    pub(crate) async fn draining(&self) {
        let mut most = 0.0;
        eventually("a drain", DRAIN, async || {
            let records = self.bridge.metric(RECORDS).await;
            most = records.max(most);
            (records < most || records == 0.0).then_some(())
        })
        .await;
    }

    /// Waits until nothing is left in the spool.
    pub(crate) async fn drained(&self) {
        for bridge in self.all() {
            eventually("an empty spool", DRAIN, async || {
                (bridge.metric(RECORDS).await == 0.0).then_some(())
            })
            .await;
        }
    }

    async fn end(mut self) -> Verdict {
        // The last answers may still be spooled ones.
        let told = self.load.finish().await;
        let reloads = self.reloads.end();
        self.drained().await;
        for bridge in self.all() {
            let rejected = bridge.metric("hookbus_dead_letters").await;
            assert!(
                rejected == 0.0,
                "{rejected} events became dead letters, though every one was right"
            );
        }
        let forwarded = match self.forwarding.take() {
            Some(forwarding) => Some(forwarding.end(&self.ground.nats).await),
            None => None,
        };
        self.look_at_memory();
        let (name, clock) = (&self.name, self.clock);
        let history = History {
            endpoint: name.clone(),
            bridges: self.all().count(),
            sent: told.sent,
            refused: told.refused,
            nats: readback::nats(&self.ground.nats, name, clock).await,
            kafka: readback::kafka(&self.ground.kafka, name, clock).await,
            live: self.observers.live.got(),
            arrivals: self.observers.worker.arrivals(),
            troubles: self.troubles,
            excused: self.excused,
            stalls: self.observers.meter.stalls(clock),
            late_bytes: self.late_bytes,
            forwarded,
            peak_bytes: self.peak_bytes,
            reloads,
            least: self.lengths.least(),
        };
        let _ = self.ground.nats.jetstream().await.delete_stream(name).await;
        self.ground.kafka.delete_topic(name).await;
        checker::judge(&history)
    }
}
