//! The run of one fault: a bridge under load, what is done to it and to its brokers, and what is there afterwards.

use std::time::Duration;

use async_nats::jetstream::stream;
use tokio::time::sleep;

use crate::checker::{self, Verdict};
use crate::faults::Fault;
use crate::ground::Ground;
use crate::history::{Clock, Excused, History, Part, Trouble};
use crate::load::{Counts, Load};
use crate::options::Lengths;
use crate::random::Random;
use crate::readback;
use crate::support::bridge::Setup;
use crate::support::{Bridge, eventually};
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
    pub(crate) lengths: Lengths,
    pub(crate) random: Random,
    pub(crate) excused: Excused,
    /// Of the stream and of the endpoint.
    pub(crate) name: String,
    pub(crate) clock: Clock,
    load: Load,
    troubles: Vec<Trouble>,
    peak_bytes: u64,
}

/// Plays one fault from its beginning to its verdict.
pub(crate) async fn play(
    fault: Fault,
    ground: &mut Ground,
    lengths: Lengths,
    mut random: Random,
) -> Verdict {
    let name = fault.name().to_owned();
    create_stream(ground, &name).await;
    ground.kafka.create_topic(&name, PARTITIONS).await;
    let clock = Clock::start();
    let worker = Worker::start(&ground.nats, &format!("{name}.tool.*"), clock).await;
    let bridge = fault.setup(setup(ground, &name, fault.is_proxied())).start_ready().await;
    let load = Load::start(&bridge.address(), "/hook", lengths.shape, clock, &mut random);
    let mut stage = Stage {
        ground,
        bridge,
        lengths,
        random,
        excused: Excused::default(),
        name,
        clock,
        load,
        troubles: Vec::new(),
        peak_bytes: 0,
    };
    stage.until("events that are stored", |counts| counts.stored() >= 50).await;
    sleep(lengths.calm).await;
    fault.inject(&mut stage).await;
    sleep(lengths.after).await;
    stage.end(worker).await
}

fn setup(ground: &Ground, name: &str, is_proxied: bool) -> Setup {
    let text = format!(
        r#"
        [nats]
        servers = ["{{nats}}"]
        ack_timeout = "2s"
        [kafka]
        brokers = ["{{kafka}}"]
        ack_timeout = "2s"
        [spool]
        dir = "hookbus-spool"
        [[endpoint]]
        name = "{name}"
        path = "/hook"
        source = "vapi"
        [[endpoint.auth]]
        kind = "none"
        [[endpoint.event]]
        types = ["hang"]
        to = ["nats:{{endpoint}}.events.{{type}}", "kafka:{name}"]
        [[endpoint.event]]
        types = ["status-update"]
        to = ["nats:{{endpoint}}.events.{{type}}"]
        [[endpoint.event]]
        types = ["speech-update"]
        to = ["kafka:{name}"]
        "#
    );
    let setup = Bridge::config(&text);
    if is_proxied {
        let nats = format!("nats://127.0.0.1:{}", ground.proxy(Broker::Nats).port());
        let kafka = format!("127.0.0.1:{}", ground.proxy(Broker::Kafka).port());
        setup.nats_at(&nats).kafka_at(&kafka)
    } else {
        setup.nats(&ground.nats).kafka(&ground.kafka)
    }
}

async fn create_stream(ground: &Ground, name: &str) {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.events.>")],
        discard: stream::DiscardPolicy::New,
        ..stream::Config::default()
    };
    ground.nats.create_stream_with(config).await;
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

    /// SIGSTOP to a broker.
    pub(crate) fn freeze(&mut self, broker: Broker) {
        self.trouble(Part::Broker(broker));
        self.ground.freeze(broker);
    }

    /// SIGCONT to a broker.
    pub(crate) fn thaw(&mut self, broker: Broker) {
        self.ground.thaw(broker);
        self.healed(Part::Broker(broker));
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

    /// Starts the bridge again, after either end.
    pub(crate) async fn restart(&mut self) {
        self.bridge.restart().await;
        let now = self.clock.now();
        let ends = self.troubles.iter_mut().filter(|trouble| {
            !matches!(trouble.part, Part::Broker(_)) && trouble.to == Duration::MAX
        });
        ends.for_each(|trouble| trouble.to = now);
    }

    fn look_at_memory(&mut self) {
        self.peak_bytes = self.peak_bytes.max(self.bridge.peak_rss_bytes());
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
        eventually("an empty spool", DRAIN, async || {
            (self.bridge.metric(RECORDS).await == 0.0).then_some(())
        })
        .await;
    }

    async fn end(mut self, worker: Worker) -> Verdict {
        // The last answers may still be spooled ones.
        let sent = self.load.finish().await;
        self.drained().await;
        let parked = self.bridge.metric("hookbus_parked_records").await;
        assert!(parked == 0.0, "{parked} events were parked, though every one was right");
        self.look_at_memory();
        let history = History {
            sent,
            nats: readback::nats(&self.ground.nats, &self.name).await,
            kafka: readback::kafka(&self.ground.kafka, &self.name).await,
            executed: worker.executed(),
            troubles: self.troubles,
            excused: self.excused,
            peak_bytes: self.peak_bytes,
        };
        let _ = self.ground.nats.jetstream().await.delete_stream(&self.name).await;
        self.ground.kafka.delete_topic(&self.name).await;
        checker::judge(&history)
    }
}
