//! A real Kafka: one node, KRaft, no topics that make themselves.

use super::process::Process;
use super::{eventually, missing, ports, tool};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{Offset, TopicPartitionList};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;

const START: Duration = Duration::from_secs(60);
const STEP: Duration = Duration::from_secs(2);

pub(crate) struct Kafka {
    process: Process,
    port: u16,
    /// A listener beside the open one: behind a proxy, or for clients that log in.
    second: u16,
    controller: u16,
    folder: tempfile::TempDir,
}

/// What a broker demands at its second listener.
#[derive(Debug)]
pub(crate) struct Lock {
    /// `SSL`, `SASL_SSL` or another protocol of Kafka.
    pub(crate) protocol: &'static str,
    /// Lines of the configuration.
    pub(crate) settings: String,
    /// Users as `kafka-storage format --add-scram` takes them.
    pub(crate) users: Vec<String>,
    /// The host that it tells clients to connect to.
    pub(crate) host: &'static str,
}

impl Default for Lock {
    fn default() -> Lock {
        Lock {
            protocol: "PLAINTEXT",
            settings: String::new(),
            users: Vec::new(),
            host: "127.0.0.1",
        }
    }
}

/// A record as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) payload: Option<Vec<u8>>,
    /// When its sender handed it to its client, in Unix milliseconds.
    pub(crate) time: u64,
}

impl Record {
    /// The first header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(key, _)| key == name)?;
        Some(std::str::from_utf8(value).expect("a header in UTF-8"))
    }
}

/// The one that all tests share, each with topics of its own. Only the first call waits for it.
pub(crate) async fn shared() -> Option<&'static Kafka> {
    static SHARED: OnceCell<Option<Kafka>> = OnceCell::const_new();
    SHARED.get_or_init(Kafka::start).await.as_ref()
}

impl Kafka {
    /// One of this test's own, for outages. It takes some seconds: prefer [`shared`].
    pub(crate) async fn start() -> Option<Kafka> {
        Kafka::start_with(0, &Lock::default()).await
    }

    /// The same with a proxy on this port in front of [`Kafka::port_behind`]: clients that come through it are
    /// told its address.
    pub(crate) async fn start_behind(proxy: u16) -> Option<Kafka> {
        Kafka::start_with(proxy, &Lock::default()).await
    }

    /// The same with a second listener, at [`Kafka::locked_bootstrap`], that demands something.
    pub(crate) async fn start_locked(lock: &Lock) -> Option<Kafka> {
        Kafka::start_with(0, lock).await
    }

    async fn start_with(proxy: u16, lock: &Lock) -> Option<Kafka> {
        if !libraries().exists() || Command::new("java").arg("-version").output().is_err() {
            missing("Kafka and Java (run: make tools)");
            return None;
        }
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            let (port, second) = (ports::free(), ports::free());
            let controller = ports::free();
            let properties = properties([port, second, controller], proxy, folder.path(), lock);
            std::fs::write(folder.path().join("server.properties"), properties).unwrap();
            format(folder.path(), "--standalone", &lock.users).await;
            let mut kafka =
                Kafka { process: spawn(folder.path()), port, second, controller, folder };
            if kafka.ready().await {
                return Some(kafka);
            }
            let log = kafka.log();
            assert!(log.contains("in use"), "Kafka doesn't start:\n{log}");
        }
        panic!("Kafka: five ports were taken");
    }

    /// Another broker of the same cluster, with a number that none has yet; this one is number 1.
    pub(crate) async fn join(&self, number: i32) -> Kafka {
        let (folder, port) = (tempfile::tempdir().unwrap(), ports::free());
        let properties = format!(
            "process.roles=broker
node.id={number}
controller.quorum.bootstrap.servers=127.0.0.1:{}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={}
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
",
            self.controller,
            folder.path().join("data").display()
        );
        std::fs::write(folder.path().join("server.properties"), properties).unwrap();
        format(folder.path(), "--no-initial-controllers", &[]).await;
        let process = spawn(folder.path());
        let mut kafka = Kafka { process, port, second: port, controller: self.controller, folder };
        assert!(kafka.ready().await, "another Kafka doesn't start:\n{}", kafka.log());
        kafka
    }

    pub(crate) fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where the proxy of [`Kafka::start_behind`] finds it.
    pub(crate) fn port_behind(&self) -> u16 {
        self.second
    }

    /// Where the clients of [`Kafka::start_locked`] find it.
    pub(crate) fn locked_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.second)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }

    /// Starts it again on the same port with the same data; kills it first where it still runs.
    pub(crate) async fn restart(&mut self) {
        self.process.kill();
        self.process = spawn(self.folder.path());
        assert!(self.ready().await, "Kafka doesn't start again:\n{}", self.log());
    }

    /// SIGSTOP: connections stay open and nothing is answered.
    pub(crate) fn stop_signal(&mut self) {
        self.process.signal("STOP");
    }

    /// SIGCONT.
    pub(crate) fn cont_signal(&mut self) {
        self.process.signal("CONT");
    }

    /// Deletes a topic and waits until it is gone.
    pub(crate) async fn delete_topic(&self, name: &str) {
        let admin: AdminClient<DefaultClientContext> = self.settings().create().unwrap();
        for result in admin.delete_topics(&[name], &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
        let consumer: BaseConsumer = self.settings().create().unwrap();
        let topic = name.to_owned();
        blocking(move || {
            until(&format!("the end of {topic}"), || {
                let metadata = consumer.fetch_metadata(None, STEP).ok()?;
                metadata.topics().iter().all(|one| one.name() != topic).then_some(())
            });
        })
        .await;
    }

    /// Makes a topic and waits until each of its partitions has a leader.
    pub(crate) async fn create_topic(&self, name: &str, partitions: i32) {
        self.create_topic_with(name, partitions, &[]).await;
    }

    /// The same with settings of the topic, such as `max.message.bytes`.
    pub(crate) async fn create_topic_with(
        &self,
        name: &str,
        partitions: i32,
        settings: &[(&str, &str)],
    ) {
        self.make_topic(name, partitions, 1, settings).await;
    }

    /// The same with so many copies.
    pub(crate) async fn make_topic(
        &self,
        name: &str,
        partitions: i32,
        copies: i32,
        settings: &[(&str, &str)],
    ) {
        let admin: AdminClient<DefaultClientContext> = self.settings().create().unwrap();
        let mut topic = NewTopic::new(name, partitions, TopicReplication::Fixed(copies));
        for (key, value) in settings {
            topic = topic.set(key, value);
        }
        for result in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            result.unwrap();
        }
        let consumer: BaseConsumer = self.settings().create().unwrap();
        let topic = name.to_owned();
        blocking(move || {
            until(&format!("the leaders of {topic}"), || {
                let metadata = consumer.fetch_metadata(Some(&topic), STEP).ok()?;
                let partitions = metadata.topics().first()?.partitions();
                (!partitions.is_empty()
                    && partitions.iter().all(|partition| partition.leader() >= 0))
                .then_some(())
            });
        })
        .await;
    }

    /// All records of a topic, partition by partition in order, once there are at least so many.
    pub(crate) async fn records(&self, topic: &str, at_least: usize) -> Vec<Record> {
        let consumer: BaseConsumer =
            self.settings().set("enable.partition.eof", "false").create().unwrap();
        let topic = topic.to_owned();
        blocking(move || {
            let ends = until(&format!("{at_least} records in {topic}"), || {
                let ends = ends(&consumer, &topic)?;
                (ends.iter().map(|&(_, count)| count).sum::<usize>() >= at_least).then_some(ends)
            });
            let mut list = TopicPartitionList::new();
            for (partition, _) in &ends {
                list.add_partition_offset(&topic, *partition, Offset::Beginning).unwrap();
            }
            consumer.assign(&list).unwrap();
            let expected = ends.iter().map(|&(_, count)| count).sum();
            let mut records = Vec::new();
            let deadline = Instant::now() + Duration::from_secs(20);
            while records.len() < expected {
                assert!(
                    Instant::now() < deadline,
                    "read {} of {expected} records of {topic}",
                    records.len()
                );
                let Some(Ok(message)) = consumer.poll(Duration::from_millis(200)) else {
                    continue;
                };
                records.push(record(&message));
            }
            records.sort_by_key(|record| (record.partition, record.offset));
            records
        })
        .await
    }

    /// The first bytes of a partition as they are on disk: record batches.
    pub(crate) fn segment(&self, topic: &str, partition: i32) -> Vec<u8> {
        let folder = format!("data/{topic}-{partition}");
        let file = self.folder.path().join(folder).join(format!("{:020}.log", 0));
        std::fs::read(file).unwrap()
    }

    /// Settings of a client of this broker.
    pub(crate) fn settings(&self) -> ClientConfig {
        let mut settings = ClientConfig::new();
        settings
            .set("bootstrap.servers", self.bootstrap())
            .set("group.id", "tests")
            .set("log_level", "0");
        settings
    }

    /// False when it has ended, such as by a port that was taken.
    async fn ready(&mut self) -> bool {
        let consumer: BaseConsumer = self.settings().create().unwrap();
        let consumer = std::sync::Arc::new(consumer);
        eventually("Kafka", START, async || {
            if self.process.ended().is_some() {
                return Some(false);
            }
            let probe = consumer.clone();
            let metadata =
                blocking(move || probe.fetch_metadata(None, Duration::from_millis(500)).ok())
                    .await?;
            (!metadata.brokers().is_empty()).then_some(true)
        })
        .await
    }
}

fn properties(
    [port, second, controller]: [u16; 3],
    proxy: u16,
    folder: &Path,
    lock: &Lock,
) -> String {
    // Without a proxy that listener stands for itself.
    let proxy = if proxy == 0 { second } else { proxy };
    let Lock { protocol, settings, host, .. } = lock;
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},SECOND://127.0.0.1:{second},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},SECOND://{host}:{proxy}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,SECOND:{protocol},CONTROLLER:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=3000
{settings}
",
        folder.join("data").display()
    )
}

/// `HOOKBUS_KAFKA`, a folder with the jars of another version, else those in `.tools`.
pub(crate) fn libraries() -> PathBuf {
    std::env::var_os("HOOKBUS_KAFKA").map_or_else(|| tool("kafka/libs"), PathBuf::from)
}

fn java(folder: &Path) -> Command {
    let log =
        std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let mut command = Command::new("java");
    command
        .args([
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        ])
        .arg("-cp")
        .arg(libraries().join("*"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log);
    command
}

async fn format(folder: &Path, quorum: &str, users: &[String]) {
    let mut command = java(folder);
    command
        .args([
            "kafka.tools.StorageTool",
            "format",
            quorum,
            "--cluster-id",
            "hookbus-tests-0000000",
        ])
        .arg("--config")
        .arg(folder.join("server.properties"))
        .args(users.iter().flat_map(|user| ["--add-scram", user]));
    let status = blocking(move || command.status().unwrap()).await;
    assert!(status.success(), "{}", std::fs::read_to_string(folder.join("log")).unwrap());
}

fn spawn(folder: &Path) -> Process {
    Process::start(
        java(folder).arg("kafka.Kafka").arg(folder.join("server.properties")),
        Some(folder),
    )
}

/// How many records each partition holds.
fn ends(consumer: &BaseConsumer, topic: &str) -> Option<Vec<(i32, usize)>> {
    let metadata = consumer.fetch_metadata(Some(topic), STEP).ok()?;
    let partitions = metadata.topics().first()?.partitions();
    let count = |partition: i32| {
        let (low, high) = consumer.fetch_watermarks(topic, partition, STEP).ok()?;
        Some((partition, usize::try_from(high - low).ok()?))
    };
    partitions.iter().map(|partition| count(partition.id())).collect()
}

fn record(message: &impl Message) -> Record {
    let headers = message.headers().map(|headers| {
        headers
            .iter()
            .map(|header| (header.key.to_owned(), header.value.unwrap_or_default().to_vec()))
            .collect()
    });
    Record {
        partition: message.partition(),
        offset: message.offset(),
        key: message.key().map(<[u8]>::to_vec),
        headers: headers.unwrap_or_default(),
        payload: message.payload().map(<[u8]>::to_vec),
        time: message.timestamp().to_millis().and_then(|time| time.try_into().ok()).unwrap_or(0),
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// The like of [`eventually`] for calls that wait by themselves.
fn until<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(value) = probe() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        #[expect(clippy::disallowed_methods, reason = "a thread of its own")]
        std::thread::sleep(Duration::from_millis(20));
    }
}
