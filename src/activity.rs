//! What happens now: each webhook and its fate, for those who follow; and what was asked lately.
//!
//! It promises to be in nobody's way. While nobody follows, a webhook costs one relaxed load. A line is made only for
//! followers, and handed to a ring of bounded size: who reads too slowly loses the oldest lines, and is told how many.
//! Bodies are in no line, unless the configuration allows it and a follower asks for them; then they are cut.
//!
//! Left out: history. Who comes later sees what comes later.

mod asked;
mod filter;
mod hang_up;
mod line;
mod note;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::sync::broadcast;

pub use self::asked::{Asked, Recent};
pub use self::filter::Filter;
pub use self::hang_up::HangUp;
pub use self::line::{Kind, Line, Webhook};
pub use self::note::Note;

/// Subscribers at the same time.
pub const MAX_SUBSCRIBERS: usize = 16;

/// Lines that a subscriber may be behind.
const MAX_LAG: usize = 1_024;

/// The same for lines with bodies: 8 MiB at most.
const MAX_LAG_WITH_BODIES: usize = 128;

/// The webhooks of one process.
pub struct Activity {
    shared: Arc<Shared>,
    /// What was asked lately.
    pub recent: Recent,
}

struct Shared {
    followers: AtomicUsize,
    shows_bodies: AtomicBool,
    lines: broadcast::Sender<Arc<Webhook>>,
    with_bodies: broadcast::Sender<Arc<Webhook>>,
}

impl Default for Activity {
    fn default() -> Self {
        let shared = Shared {
            followers: AtomicUsize::new(0),
            shows_bodies: AtomicBool::new(false),
            lines: broadcast::Sender::new(MAX_LAG),
            with_bodies: broadcast::Sender::new(MAX_LAG_WITH_BODIES),
        };
        Self { shared: Arc::new(shared), recent: Recent::default() }
    }
}

/// Why somebody can't follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// There are as many followers as there may be.
    #[error(
        "{MAX_SUBSCRIBERS} others follow already, which is as many as may\nhint: end one of them, and try again"
    )]
    Followers,
    /// The configuration doesn't allow it.
    #[error(
        "bodies are not shown here\nhint: `bodies = true` in [tail] allows it, after a reload; without --bodies, the rest is shown"
    )]
    Bodies,
}

impl Activity {
    /// Whether followers may ask for bodies; it holds for those who follow already, too.
    pub fn show_bodies(&self, may: bool) {
        self.shared.shows_bodies.store(may, Ordering::Relaxed);
    }

    /// Follow what comes from now on.
    pub fn follow(&self, filter: Filter) -> Result<Follower, Refused> {
        let shared = &self.shared;
        if filter.bodies && !shared.shows_bodies.load(Ordering::Relaxed) {
            return Err(Refused::Bodies);
        }
        let take = |count| (count < MAX_SUBSCRIBERS).then_some(count + 1);
        let taken = shared.followers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take);
        taken.map_err(|_| Refused::Followers)?;
        let lines = if filter.bodies { &shared.with_bodies } else { &shared.lines };
        Ok(Follower { lines: lines.subscribe(), filter, shared: shared.clone() })
    }

    /// A note of a webhook that has just come; nothing when nobody would read it. `hang_up` tells when its sender goes.
    pub fn note(&self, endpoint: &Arc<str>, hang_up: Option<&Arc<HangUp>>) -> Option<Note> {
        let is_followed = self.shared.is_followed();
        is_followed.then(|| Note::new(self.shared.clone(), endpoint.clone(), hang_up))
    }

    /// What tells whether somebody follows.
    pub fn followed(&self) -> Followed {
        Followed(self.shared.clone())
    }
}

/// Tells whether somebody follows.
#[derive(Clone)]
pub struct Followed(Arc<Shared>);

impl Followed {
    /// Whether somebody does at this moment.
    pub fn now(&self) -> bool {
        self.0.is_followed()
    }
}

impl Shared {
    fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Relaxed) > 0
    }

    fn wants_bodies(&self) -> bool {
        self.shows_bodies.load(Ordering::Relaxed) && self.with_bodies.receiver_count() > 0
    }

    /// Hand a line to all who follow. Whoever has just gone doesn't need it.
    fn send(&self, line: Webhook, body: Option<String>) {
        if self.with_bodies.receiver_count() > 0 {
            let _ = self.with_bodies.send(Arc::new(Webhook { body, ..line.clone() }));
        }
        if self.lines.receiver_count() > 0 {
            let _ = self.lines.send(Arc::new(line));
        }
    }
}

/// Somebody who follows, until it is dropped.
pub struct Follower {
    lines: broadcast::Receiver<Arc<Webhook>>,
    filter: Filter,
    shared: Arc<Shared>,
}

impl Follower {
    /// The next line that fits, as soon as there is one; nothing when nothing will come any more.
    pub async fn next(&mut self) -> Option<Line> {
        loop {
            match self.lines.recv().await {
                Ok(line) if self.filter.matches(&line) => return Some(Line::Webhook(line)),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(count)) => {
                    return Some(Line::Lost { count });
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.shared.followers.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn pass(activity: &Activity, id: &str) {
        let mut note = activity.note(&"vapi".into(), None).unwrap();
        note.received(id.into(), &bytes::Bytes::from_static(b"{\"body\":1}"));
        note.ended("stored", None, Some(Kind::Event));
        note.answered(200);
    }

    async fn next(follower: &mut Follower) -> Webhook {
        match follower.next().await.unwrap() {
            Line::Webhook(line) => (*line).clone(),
            Line::Lost { count } => panic!("{count} lost"),
        }
    }

    #[tokio::test]
    async fn nothing_is_noted_while_nobody_follows() {
        let activity = Activity::default();
        assert!(activity.note(&"vapi".into(), None).is_none());
        let follower = activity.follow(Filter::default()).unwrap();
        assert!(activity.note(&"vapi".into(), None).is_some());
        drop(follower);
        assert!(activity.note(&"vapi".into(), None).is_none());
    }

    #[test]
    fn where_nobody_follows_a_million_webhooks_cost_nothing_to_speak_of() {
        let (activity, endpoint) = (Activity::default(), "vapi".into());
        let began = std::time::Instant::now();
        for _ in 0..1_000_000 {
            assert!(std::hint::black_box(&activity).note(&endpoint, None).is_none());
        }
        let took = began.elapsed();
        println!("{} ns a webhook", took.as_nanos() / 1_000_000);
        assert!(took < std::time::Duration::from_secs(1), "{took:?}");
    }

    #[tokio::test]
    async fn who_reads_too_slowly_loses_the_oldest_and_is_told() {
        let activity = Activity::default();
        let mut follower = activity.follow(Filter::default()).unwrap();
        for number in 0..MAX_LAG + 10 {
            pass(&activity, &number.to_string());
        }
        assert!(matches!(follower.next().await, Some(Line::Lost { count: 10 })));
        assert_eq!(next(&mut follower).await.id.as_deref(), Some("10"));
    }

    #[tokio::test]
    async fn followers_are_counted() {
        let activity = Activity::default();
        let mut all: Vec<_> =
            (0..MAX_SUBSCRIBERS).map(|_| activity.follow(Filter::default()).unwrap()).collect();
        assert_eq!(activity.follow(Filter::default()).err(), Some(Refused::Followers));
        all.pop();
        assert!(activity.follow(Filter::default()).is_ok());
    }

    #[tokio::test]
    async fn a_body_is_shown_while_it_may_be_and_to_those_who_ask() {
        let activity = Activity::default();
        let asks = || Filter { bodies: true, ..Filter::default() };
        assert_eq!(activity.follow(asks()).err(), Some(Refused::Bodies));
        activity.show_bodies(true);
        let mut nosy = activity.follow(asks()).unwrap();
        let mut other = activity.follow(Filter::default()).unwrap();
        pass(&activity, "a");
        assert_eq!(next(&mut nosy).await.body.as_deref(), Some("{\"body\":1}"));
        assert_eq!(next(&mut other).await.body, None);
        activity.show_bodies(false);
        pass(&activity, "b");
        assert_eq!(next(&mut nosy).await.body, None);
    }
}
