//! Bodies that anybody can send to an endpoint with signatures: never finished, or never signed right. Those who are
//! known, those who ask, and those who sign are served meanwhile, and the memory stays bounded.

use super::streams::Streams;
use super::wire::Wire;
use super::{event, open, question};
use crate::support::{Bridge, LOAD, Nats, Reply, Worker, eventually, nats};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;

const SOON: Duration = Duration::from_secs(30);
const BODY: usize = 8 << 20;

/// A flood, and what it floods.
#[derive(Clone, Copy)]
struct Flood {
    /// Of a body, by its head.
    body: usize,
    /// All that bodies may hold is less than this many of them.
    senders: usize,
    /// Of those who are served meanwhile.
    rounds: usize,
    /// What it may cost: several times what one endpoint holds of strangers, since buffers grow by doubling.
    memory: u64,
    /// Nothing else runs on this machine.
    is_alone: bool,
}

/// Small enough for a machine that is busy with other tests.
const SMALL: Flood =
    Flood { body: 1 << 20, senders: 20, rounds: 20, memory: 64 << 20, is_alone: false };

/// As the limits are by default: 512 MiB for all, 32 MiB for strangers.
const LARGE: Flood =
    Flood { body: BODY, senders: 72, rounds: 100, memory: 160 << 20, is_alone: true };

fn config(name: &str) -> String {
    let known = "[[endpoint.auth]]\nkind = \"secret\"\nheader = \"x-secret\"\nsecrets = [\"s\"]\n";
    let signed = open(name).replace("kind = \"none\"", "kind = \"hmac\"\nsecrets = [\"s\"]");
    let rules = |name: &str| {
        format!(
            "[[endpoint.event]]\ntypes = [\"*\"]\nto = [\"nats:{name}.events\"]\n[[endpoint.question]]\ntypes = [\"*\"]\nsubject = \"{name}.ask\"\n"
        )
    };
    let beside = format!("{name}-beside");
    signed + known + &rules(name) + &open(&beside) + &rules(&beside)
}

async fn start(nats: &Nats, name: &str, http: &str) -> Bridge {
    for name in [name.to_owned(), format!("{name}-beside")] {
        nats.create_stream(&name, &[&format!("{name}.events")]).await;
    }
    let text = format!("[http]\nlisten = \"{{http}}\"\n{http}\n{}", config(name));
    Bridge::config(&text).nats(nats).start_ready().await
}

fn signature(body: &[u8]) -> [(&'static str, String); 2] {
    let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().to_string();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"s");
    let tag = ring::hmac::sign(&key, &[time.as_bytes(), b".", body].concat());
    [("x-signature", data_encoding::HEXLOWER.encode(tag.as_ref())), ("x-timestamp", time)]
}

async fn post_signed(bridge: &Bridge, name: &str, body: String) -> u16 {
    let signed = signature(body.as_bytes());
    let headers = signed.each_ref().map(|(name, value)| (*name, value.as_str()));
    let answer = bridge.post(&format!("/{name}"), body, &headers).await;
    answer.status
}

/// A head that could be anybody's: its signature is well-formed, and right for other bytes.
fn head(name: &str, length: usize, more: &str) -> String {
    let [(_, signature), (_, time)] = signature(b"other bytes");
    format!(
        "POST /{name} HTTP/1.1\r\nhost: test\r\nx-signature: {signature}\r\nx-timestamp: {time}\r\ncontent-length: {length}\r\n{more}\r\n"
    )
}

/// An event of so many bytes.
fn padded(call: &str, size: usize) -> String {
    let event = event(call);
    format!("{event}{}", " ".repeat(size - event.len()))
}

/// Strangers at work, on a thread of their own: what they have to do holds up none of those who are measured.
struct Strangers {
    stop: Arc<Notify>,
    sent: Arc<AtomicUsize>,
    thread: std::thread::JoinHandle<()>,
}

impl Strangers {
    /// Each connection sends a body that isn't signed right: all of it but its last byte, or all. One that is answered
    /// or closed begins anew.
    fn start(bridge: &Bridge, name: &str, flood: Flood, is_whole: bool) -> Strangers {
        let (stop, sent) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let (address, name) = (bridge.address(), name.to_owned());
        let at_work = {
            let (stop, sent) = (stop.clone(), sent.clone());
            async move {
                let chunk = vec![b'x'; 64 << 10];
                let all = (0..flood.senders).map(async |_| {
                    loop {
                        let _ =
                            stranger(&address, &name, &chunk, flood.body, is_whole, &sent).await;
                    }
                });
                tokio::select! {
                    _ = futures_util::future::join_all(all) => {}
                    () = stop.notified() => {}
                }
            }
        };
        let thread = std::thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(at_work);
        });
        Strangers { stop, sent, thread }
    }

    fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    fn end(self) -> usize {
        self.stop.notify_one();
        self.thread.join().unwrap();
        self.sent.load(Ordering::Relaxed)
    }
}

async fn stranger(
    address: &str,
    name: &str,
    chunk: &[u8],
    body: usize,
    is_whole: bool,
    sent: &AtomicUsize,
) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(head(name, body, "").as_bytes()).await?;
    let mut left = body - usize::from(!is_whole);
    let (mut reader, mut writer) = stream.split();
    let send = async {
        while left > 0 {
            let part = left.min(chunk.len());
            writer.write_all(&chunk[..part]).await?;
            left -= part;
            sent.fetch_add(part, Ordering::Relaxed);
        }
        std::future::pending::<std::io::Result<()>>().await
    };
    let mut answer = [0; 4096];
    tokio::select! {
        sent = send => sent,
        answered = reader.read(&mut answer) => answered.map(|_| ()),
    }
}

/// How long the others wait, in order: events at another endpoint, events of somebody who is known and of somebody who
/// signs at the same endpoint, and questions.
async fn others(bridge: &Bridge, name: &str, rounds: usize) -> Vec<Duration> {
    let beside = format!("/{name}-beside");
    let mut times = Vec::new();
    for round in 0..rounds {
        let began = Instant::now();
        let signed = post_signed(bridge, name, padded("call", 3_000)).await;
        times.push(began.elapsed());
        assert_eq!(signed, 200, "signed, in round {round}");
        for (path, body, headers) in [
            (&*beside, event("call"), &[][..]),
            (&format!("/{name}"), event("call"), &[("x-secret", "s")][..]),
            (&*beside, question("assistant-request"), &[][..]),
        ] {
            let answer = bridge.post(path, body, headers).await;
            assert_eq!(answer.status, 200, "{path}, in round {round}: {}", answer.text());
            times.push(answer.elapsed);
        }
    }
    times.sort_unstable();
    times
}

fn p99(times: &[Duration]) -> Duration {
    times[times.len() * 99 / 100]
}

/// More strangers than there are bytes for.
async fn whoever_is_known_is_served(name: &str, limits: &str, flood: Flood) {
    let Some(nats) = nats::shared().await else { return };
    let _load = LOAD.write().await;
    let bridge = start(nats, name, limits).await;
    let reply = |_: &crate::support::Question| Reply::text(r#"{"assistantId":"a"}"#);
    let _worker = Worker::start(nats, &format!("{name}-beside.ask"), reply).await;
    others(&bridge, name, 10).await;
    let before = bridge.rss_bytes();
    let quiet = others(&bridge, name, flood.rounds).await;
    for (is_whole, kind) in [(false, "never finished"), (true, "signed wrongly")] {
        let strangers = Strangers::start(&bridge, name, flood, is_whole);
        eventually("a flood", SOON, async || {
            (strangers.sent() > flood.senders * flood.body / 2).then_some(())
        })
        .await;
        let flooded = others(&bridge, name, flood.rounds).await;
        let sent = strangers.end();
        let grown = bridge.peak_rss_bytes().saturating_sub(before);
        println!(
            "{kind}: {} MiB sent, {} MiB more in memory; the others' p99 {:?} instead of {:?}, the slowest {:?} instead of {:?}",
            sent >> 20,
            grown >> 20,
            p99(&flooded),
            p99(&quiet),
            flooded.last().unwrap(),
            quiet.last().unwrap(),
        );
        assert!(grown < flood.memory, "{kind}: {grown} bytes more");
        if flood.is_alone {
            // A percentile of some milliseconds differs by as much from run to run.
            assert!(p99(&flooded) < 2 * p99(&quiet) + Duration::from_millis(20), "{kind}");
        } else {
            // What a machine does to the slowest of a few, other tests running beside, says nothing.
            let median = |times: &[Duration]| times[times.len() / 2];
            assert!(median(&flooded) < 2 * median(&quiet) + Duration::from_millis(100), "{kind}");
        }
    }
    eventually("nothing held", SOON, async || {
        (bridge.metric("hookbus_unverified_bytes").await == 0.0).then_some(())
    })
    .await;
    eventually("nothing in flight", SOON, async || {
        (bridge.metric("hookbus_in_flight").await == 0.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn whoever_is_known_asks_or_signs_is_served() {
    let limits = "max_body = \"1MiB\"\nmax_in_flight_bytes = \"16MiB\"";
    whoever_is_known_is_served("strangers", limits, SMALL).await;
}

#[tokio::test]
#[ignore = "half a gigabyte at full speed, on a machine that does nothing else"]
async fn at_the_limits_of_the_defaults() {
    whoever_is_known_is_served("defaults", "", LARGE).await;
}

/// A body that is signed right fits, whatever strangers hold; and so do all that may be read at the same time.
#[tokio::test]
async fn the_largest_body_that_is_signed_still_fits() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "room", "max_unverified_bytes = \"8MiB\"").await;
    let mut strangers = Vec::new();
    for _ in 0..8 {
        let mut wire = Wire::open(&bridge.address()).await;
        wire.send(head("room", BODY, "")).await;
        wire.send(vec![b'x'; 1 << 20]).await;
        strangers.push(wire);
        let held = strangers.len() << 20;
        eventually("its bytes", SOON, async || {
            (bridge.metric("hookbus_unverified_bytes").await >= held as f64).then_some(())
        })
        .await;
    }
    assert_eq!(bridge.metric("hookbus_in_flight_bytes").await, 0.0);
    assert_eq!(bridge.metric("hookbus_in_flight{kind=\"reading\"").await, 0.0);
    assert_eq!(bridge.metric("hookbus_in_flight{kind=\"unverified\"").await, 8.0);
    let body = padded("large", BODY);
    assert_eq!(post_signed(&bridge, "room", body).await, 200);
    // They had to go, and are told so.
    for mut wire in strangers {
        let response = wire.response().await;
        assert_eq!(response.status, 503);
        assert!(response.header("retry-after").is_some());
    }
    assert_eq!(nats.messages("room", 0).await[0].payload.len(), BODY);
}

/// The time of those who aren't known is short; that of all others is what it was.
#[tokio::test]
async fn a_stranger_has_little_time() {
    let Some(nats) = nats::shared().await else { return };
    let times = "unverified_timeout = \"500ms\"\nbody_timeout = \"20s\"";
    let bridge = start(nats, "hurry", times).await;
    let body = event("call");
    let mut known = Wire::open(&bridge.address()).await;
    let request = format!(
        "POST /hurry HTTP/1.1\r\nhost: test\r\nx-secret: s\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    let (begin, rest) = request.split_at(request.len() - 1);
    known.send(begin).await;
    // Also one that waits to be told to go on.
    for (more, begin) in [("", "{"), ("expect: 100-continue\r\n", "")] {
        let mut stranger = Wire::open(&bridge.address()).await;
        stranger.send(head("hurry", 100, more) + begin).await;
        let mut response = stranger.response().await;
        if response.status == 100 {
            response = stranger.response().await;
        }
        assert_eq!(response.status, 503, "{more}");
        assert!(stranger.age() >= Duration::from_millis(450), "{:?}", stranger.age());
        assert!(stranger.age() < Duration::from_secs(15), "{:?}", stranger.age());
    }
    assert_eq!(known.ask(rest).await.status, 200);
    // Told to go on, and signed: that is taken.
    let body = padded("continued", 100_000);
    let mut honest = Wire::open(&bridge.address()).await;
    let [(_, signature), (_, time)] = signature(body.as_bytes());
    let head = format!(
        "POST /hurry HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\nx-signature: {signature}\r\nx-timestamp: {time}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    assert_eq!(honest.ask(head).await.status, 100);
    assert_eq!(honest.ask(body).await.status, 200);
}

/// The streams of one connection are strangers too, each of them.
#[tokio::test]
async fn streams_of_one_connection() {
    let Some(nats) = nats::shared().await else { return };
    let bridge = start(nats, "streams", "max_unverified_bytes = \"8MiB\"\nmax_reading = 50").await;
    let before = bridge.rss_bytes();
    let mut wire = Streams::open(&bridge.address()).await;
    let [(_, signature), (_, time)] = signature(b"other bytes");
    let length = BODY.to_string();
    let headers = [
        ("x-signature", signature.as_str()),
        ("x-timestamp", time.as_str()),
        ("content-length", length.as_str()),
    ];
    let mut answered = 0;
    for _ in 0..100 {
        let stream = wire.post("/streams", &headers).await;
        answered += wire.send(stream, &vec![b'x'; 1 << 20]).await;
    }
    let answer = bridge.post("/streams-beside", event("call"), &[]).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(post_signed(&bridge, "streams", padded("call", 300_000)).await, 200);
    assert!(bridge.metric("hookbus_unverified_bytes").await <= f64::from(8 << 20));
    let grown = bridge.peak_rss_bytes().saturating_sub(before);
    println!("100 MiB in 100 streams: {answered} were refused, {} MiB more", grown >> 20);
    assert!(answered > 80, "{answered} were refused");
    assert!(grown < LARGE.memory, "{grown} bytes more");
    drop(wire);
    eventually("nothing held", SOON, async || {
        (bridge.metric("hookbus_unverified_bytes").await == 0.0).then_some(())
    })
    .await;
}
