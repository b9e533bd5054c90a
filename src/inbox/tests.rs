#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::nats::Release;
use crate::telemetry::health::Health;

const LIMIT: Duration = Duration::from_secs(5);

/// An inbox without a connection, and what it tells.
struct Bench {
    inbox: Arc<Inbox>,
    late: Arc<Mutex<Vec<String>>>,
    strange: Arc<Mutex<Vec<String>>>,
}

/// Somebody who waits, and where the reply goes.
struct Waits {
    registration: Registration<Message>,
    reply: String,
    receiver: oneshot::Receiver<Result<Message, Failure>>,
}

impl Bench {
    fn new(on_loss: OnLoss) -> Self {
        let connection =
            Connection::new("test", (1 << 20, Release::Written), Arc::<Health>::default());
        let (late, strange) =
            (Arc::<Mutex<Vec<_>>>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (late_numbers, strange_subjects) = (late.clone(), strange.clone());
        let told = Told {
            late: Box::new(move |number, lateness| {
                let extra = if lateness == Lateness::Extra { "+" } else { "" };
                late_numbers.lock().push(format!("{number}{extra}"));
            }),
            strange: Box::new(move |subject, _| strange_subjects.lock().push(subject.to_owned())),
        };
        Self {
            inbox: Arc::new(Inbox::new(connection, "_INBOX", on_loss, read, told)),
            late,
            strange,
        }
    }

    fn waits(&self, subject: &'static str, number: u32) -> Waits {
        let (sender, receiver) = oneshot::channel();
        let (registration, reply) =
            self.inbox.register(Waiter::One(sender), subject.into(), Some(number));
        Waits { registration, reply, receiver }
    }

    fn deliver(&self, to: &str, text: &str) {
        self.inbox.deliver(message(to, text));
    }

    fn waiting(&self) -> usize {
        self.inbox.slots.lock().slab.len()
    }

    fn late(&self) -> String {
        std::mem::take(&mut *self.late.lock()).join(" ")
    }
}

/// What begins with a question mark is no reply.
#[expect(clippy::result_large_err, reason = "the message itself is handed back")]
fn read(message: Message) -> Result<Message, Message> {
    if message.payload.starts_with(b"?") { Err(message) } else { Ok(message) }
}

impl Waits {
    /// What came, if anything did.
    fn came(&mut self) -> Option<Result<String, Failure>> {
        let came = self.receiver.try_recv().ok()?;
        Some(came.map(|message| text(&message)))
    }
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(&message.payload).into_owned()
}

fn message(to: &str, text: &str) -> Message {
    Message {
        subject: to.into(),
        reply: None,
        payload: Bytes::copy_from_slice(text.as_bytes()),
        headers: None,
        status: None,
        description: None,
        length: text.len(),
    }
}

#[test]
fn a_reply_finds_whoever_waits_for_it() {
    let bench = Bench::new(OnLoss::Wait);
    let (mut first, mut second) = (bench.waits("a", 1), bench.waits("b", 2));
    for waits in [&first, &second] {
        assert!(waits.reply.starts_with(bench.inbox.prefix()));
    }
    assert!(bench.inbox.prefix().starts_with("_INBOX.") && bench.inbox.prefix().ends_with('.'));
    bench.deliver(&second.reply, "two");
    assert_eq!((first.came(), second.came()), (None, Some(Ok("two".into()))));
    bench.deliver(&first.reply, "one");
    assert_eq!(first.came(), Some(Ok("one".into())));
    assert_eq!((bench.waiting(), bench.late()), (0, String::new()));
}

#[test]
fn a_late_reply_is_counted_and_goes_to_nobody_else() {
    let bench = Bench::new(OnLoss::Wait);
    let mut first = bench.waits("a", 1);
    bench.deliver(&first.reply, "one");
    bench.deliver(&first.reply, "again");
    assert_eq!((first.came(), bench.late()), (Some(Ok("one".into())), "1+".to_owned()));
    drop(first.registration);
    let given_up = bench.waits("a", 2);
    drop(given_up.registration);
    assert_eq!(bench.waiting(), 0);
    // The same slot.
    let mut next = bench.waits("a", 3);
    bench.deliver(&given_up.reply, "two");
    assert_eq!((next.came(), bench.late()), (None, "2+".to_owned()));
    bench.deliver(&given_up.reply, "?");
    assert_eq!((next.came(), bench.late()), (None, "2+".to_owned()));
    // What an earlier one leaves behind doesn't take the slot away.
    bench.inbox.unregister(token(&given_up.reply));
    assert_eq!(bench.waiting(), 1);
    let Waits { reply, receiver, .. } = next;
    drop(receiver);
    bench.deliver(&reply, "three");
    assert_eq!(bench.late(), "3+");
    assert!(bench.strange.lock().is_empty());
}

/// The token of a subject that replies go to.
fn token(reply: &str) -> Token {
    Token::parse(reply.rsplit('.').next().unwrap()).unwrap()
}

#[test]
fn what_is_no_reply_of_ours_is_nobodys() {
    let bench = Bench::new(OnLoss::Wait);
    let mut waits = bench.waits("a", 1);
    let prefix = bench.inbox.prefix();
    for subject in
        ["_INBOX.other.0-1-1", "a", prefix, &format!("{prefix}0"), &format!("{prefix}0-1-x")]
    {
        bench.deliver(subject, "none");
    }
    assert_eq!((waits.came(), bench.late(), bench.waiting()), (None, String::new(), 1));
}

#[test]
fn nobody_there_is_a_failure() {
    let bench = Bench::new(OnLoss::Wait);
    let mut waits = bench.waits("a", 1);
    let status = Some(StatusCode::NO_RESPONDERS);
    bench.inbox.deliver(Message { status, ..message(&waits.reply, "") });
    assert_eq!(waits.came(), Some(Err(Failure::NoResponders)));
}

/// The right one may still come.
#[test]
fn a_strange_reply_is_passed_over() {
    let bench = Bench::new(OnLoss::Wait);
    let (mut waits, other) = (bench.waits("a", 1), bench.waits("b", 2));
    bench.deliver(&waits.reply, "?");
    assert_eq!((waits.came(), bench.strange.lock().as_slice()), (None, &["a".to_owned()][..]));
    assert_eq!(bench.inbox.silence(waits.registration.token), Failure::Strange);
    assert_eq!(bench.inbox.silence(other.registration.token), Failure::Timeout);
    bench.deliver(&waits.reply, "right");
    assert_eq!((waits.came(), bench.late()), (Some(Ok("right".into())), String::new()));
}

#[test]
fn a_lost_connection_is_told_to_those_who_would_send_again() {
    for (on_loss, came) in [(OnLoss::Fail, Some(Err(Failure::Lost))), (OnLoss::Wait, None)] {
        let bench = Bench::new(on_loss);
        let mut waits = [bench.waits("a", 1), bench.waits("b", 2)];
        bench.inbox.lost();
        assert_eq!(waits.each_mut().map(Waits::came), [came.clone(), came.clone()]);
        assert_eq!(bench.waiting(), if came.is_some() { 0 } else { 2 });
    }
}

#[test]
fn what_is_not_permitted_ends_at_once() {
    let bench = Bench::new(OnLoss::Wait);
    let mut waits = [bench.waits("a", 1), bench.waits("b", 2)];
    let refused = Some(Err(Failure::NotPermitted));
    bench.inbox.refused("a");
    assert_eq!(waits.each_mut().map(Waits::came), [refused.clone(), None]);
    bench.inbox.inbox_denied();
    assert_eq!(waits[1].came(), refused);
    assert_eq!(bench.waiting(), 0);
}

/// Without a connection, for one.
#[tokio::test]
async fn what_is_not_sent_waits_for_nothing() {
    let bench = Bench::new(OnLoss::Wait);
    let request = || Request {
        subject: "a".to_owned(),
        headers: HeaderMap::new,
        payload: Bytes::new(),
        number: None,
    };
    let deadline = Instant::now() + LIMIT;
    let once = bench.inbox.request(request(), deadline).await.err();
    let stream = bench.inbox.stream(request(), deadline).await.err();
    assert_eq!((once, stream), (Some(Failure::Disconnected), Some(Failure::Disconnected)));
    assert_eq!(bench.waiting(), 0);
}

/// The further replies to a request of this bench, and where they go.
fn replies(bench: &Bench) -> (Replies, String) {
    let (sender, receiver) = mpsc::channel(MAX_STREAM_PARTS);
    let unread = Arc::new(AtomicUsize::new(0));
    let waiter = Waiter::Many { sender, unread: unread.clone() };
    let (registration, reply) = bench.inbox.register(waiter, "a".into(), Some(7));
    (Replies { receiver, unread, registration }, reply)
}

#[tokio::test(start_paused = true)]
async fn several_replies_come_in_their_order() {
    let bench = Bench::new(OnLoss::Fail);
    let (mut replies, reply) = replies(&bench);
    for number in ["1", "2", "3"] {
        bench.deliver(&reply, number);
    }
    let deadline = Instant::now() + LIMIT;
    for number in ["1", "2", "3"] {
        assert_eq!(text(&replies.next(deadline).await.unwrap()), number);
    }
    assert_eq!(replies.next(deadline).await.err(), Some(Failure::Timeout));
    assert_eq!(Instant::now(), deadline);
    bench.inbox.lost();
    advance(LIMIT).await;
    assert_eq!(replies.next(Instant::now() + LIMIT).await.err(), Some(Failure::Lost));
    bench.deliver(&reply, "4");
    assert_eq!((bench.late(), bench.waiting()), ("7+".to_owned(), 0));
}

/// A hole would be worse: what can't be kept breaks the answer, after what was kept.
#[tokio::test(start_paused = true)]
async fn bytes_that_nobody_reads_are_bounded() {
    let bench = Bench::new(OnLoss::Wait);
    let (mut replies, reply) = replies(&bench);
    let half = "x".repeat(MAX_STREAM_BYTES / 2);
    let deadline = Instant::now() + LIMIT;
    // What was read counts until it was passed on.
    for _ in 0..4 {
        bench.deliver(&reply, &half);
        let read = replies.next(deadline).await.unwrap();
        drop(replies.unread(read.payload.len()));
    }
    let mut unread = Vec::new();
    for part in [half.as_str(), &half, "x"] {
        bench.deliver(&reply, part);
        let read = replies.next(deadline).await.unwrap();
        unread.push(replies.unread(read.payload.len()));
        assert_eq!(bench.waiting(), 1);
    }
    bench.deliver(&reply, "too much");
    assert_eq!(replies.next(deadline).await.err(), Some(Failure::Lost));
    assert_eq!(bench.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn replies_that_nobody_reads_are_bounded() {
    let bench = Bench::new(OnLoss::Wait);
    let (mut replies, reply) = replies(&bench);
    for _ in 0..=MAX_STREAM_PARTS {
        assert_eq!(bench.waiting(), 1);
        bench.deliver(&reply, "x");
    }
    assert_eq!(bench.waiting(), 0);
    let deadline = Instant::now() + LIMIT;
    for _ in 0..MAX_STREAM_PARTS {
        replies.next(deadline).await.unwrap();
    }
    assert_eq!(replies.next(deadline).await.err(), Some(Failure::Lost));
}
