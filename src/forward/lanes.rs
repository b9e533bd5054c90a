//! Order: a lane a key, and in each lane one after the other.
//!
//! A lane is there as long as something is in it. How much may wait is up to whoever fills them.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Handles what comes through a lane.
pub(super) trait Handle<T>: Send + Sync + 'static {
    /// Be done with one item. The next one of its lane comes after that.
    fn handle(&self, item: T) -> impl Future<Output = ()> + Send;
}

/// All lanes.
pub(super) struct Lanes<T, H> {
    handler: Arc<H>,
    waiting: Arc<Mutex<HashMap<Arc<str>, VecDeque<T>>>>,
    tasks: Mutex<JoinSet<()>>,
}

impl<T: Send + 'static, H: Handle<T>> Lanes<T, H> {
    pub(super) fn new(handler: H) -> Self {
        Self { handler: Arc::new(handler), waiting: Arc::default(), tasks: Mutex::default() }
    }

    pub(super) fn handler(&self) -> &H {
        &self.handler
    }

    /// Put an item behind those of its key. What has no key waits for nothing.
    pub(super) fn push(&self, key: Option<&str>, item: T) {
        let handler = self.handler.clone();
        let Some(key) = key else {
            return self.spawn(async move { handler.handle(item).await });
        };
        let mut waiting = self.waiting.lock();
        if let Some(lane) = waiting.get_mut(key) {
            return lane.push_back(item);
        }
        let key: Arc<str> = key.into();
        waiting.insert(key.clone(), VecDeque::new());
        drop(waiting);
        let all = self.waiting.clone();
        self.spawn(async move {
            let mut next = Some(item);
            while let Some(item) = next {
                handler.handle(item).await;
                let mut all = all.lock();
                next = all.get_mut(&key).and_then(VecDeque::pop_front);
                if next.is_none() {
                    all.remove(&key);
                }
            }
        });
    }

    fn spawn(&self, lane: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(lane);
    }

    /// Wait until all lanes are empty, for at most so long or until `hurry` ends; then end them.
    pub(super) async fn finish(&self, limit: Duration, hurry: impl Future<Output = ()>) {
        let mut tasks = std::mem::take(&mut *self.tasks.lock());
        let finishing = async { while tasks.join_next().await.is_some() {} };
        tokio::select! {
            _ = timeout(limit, finishing) => {}
            () = hurry => {}
        }
        tasks.shutdown().await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    struct Handler {
        gate: Arc<Semaphore>,
        done: Arc<Mutex<Vec<&'static str>>>,
    }

    impl Handle<&'static str> for Handler {
        async fn handle(&self, item: &'static str) {
            if item.starts_with('a') {
                let _ = self.gate.acquire().await.map(|permit| permit.forget());
            }
            self.done.lock().push(item);
        }
    }

    #[tokio::test]
    async fn a_lane_that_waits_holds_up_no_other_one() {
        let (gate, done) = (Arc::new(Semaphore::new(0)), Arc::default());
        let lanes = Lanes::new(Handler { gate: gate.clone(), done: Arc::clone(&done) });
        for item in ["a1", "b1", "a2", "b2", "c1"] {
            let key = Some(&item[..1]).filter(|key| *key != "c");
            lanes.push(key, item);
        }
        while done.lock().len() < 3 {
            tokio::task::yield_now().await;
        }
        let others = done.lock().clone();
        assert!(others.iter().all(|item| !item.starts_with('a')), "{others:?}");
        gate.add_permits(2);
        lanes.finish(Duration::from_secs(10), std::future::pending()).await;
        let of_a: Vec<_> =
            done.lock().iter().filter(|item| item.starts_with('a')).copied().collect();
        assert_eq!(of_a, ["a1", "a2"]);
        assert!(lanes.waiting.lock().is_empty());
    }
}
