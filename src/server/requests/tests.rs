use std::task::{Wake, Waker};

use super::*;

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Requests {
    /// Whether this wakes the reader of the connection.
    fn is_woken_by(&self, what: impl FnOnce()) -> bool {
        let woken = Arc::new(Woken::default());
        self.register(&Context::from_waker(&Waker::from(woken.clone())));
        what();
        woken.0.load(Ordering::Relaxed)
    }
}

fn requests() -> Arc<Requests> {
    Arc::new(Requests::new(Shutdown::new(), Arc::default()))
}

#[test]
fn the_client_is_waited_for_when_all_answers_are_offered() {
    let requests = requests();
    assert_eq!(requests.waits_for_client(), None);
    let (first, second) = (OpenRequest::new(&requests, true), OpenRequest::new(&requests, true));
    let (mut one, mut other) = (None, None);
    assert!(!requests.is_woken_by(|| one = Some(Offered::new(&requests))));
    assert_eq!(requests.waits_for_client(), None);
    assert!(requests.is_woken_by(|| other = Some(Offered::new(&requests))));
    assert_eq!(requests.waits_for_client(), Some(0));
    requests.taken.fetch_add(1, Ordering::AcqRel);
    assert_eq!(requests.waits_for_client(), Some(1));
    drop(one);
    assert_eq!(requests.waits_for_client(), None);
    assert!(!requests.is_woken_by(|| drop(first)));
    assert_eq!(requests.waits_for_client(), Some(1));
    drop(other);
    assert!(requests.is_woken_by(|| drop(second)));
    assert_eq!((requests.waits_for_client(), requests.open(), requests.count()), (None, 0, 2));
    assert!(!requests.has_given_up());
}

/// Until the client takes something.
#[test]
fn what_was_given_up_says_so() {
    let requests = requests();
    assert!(!requests.has_given_up());
    requests.given_up_at.store(0, Ordering::Release);
    assert!(requests.has_given_up());
    requests.taken.fetch_add(1, Ordering::AcqRel);
    assert!(!requests.has_given_up());
}

#[test]
fn a_connection_is_idle_between_requests() {
    let requests = requests();
    assert!(!requests.is_idle());
    requests.set_idle(true);
    assert!(requests.is_idle());
    let open = OpenRequest::new(&requests, false);
    assert!(!requests.is_idle());
    drop(open);
    requests.set_idle(false);
    assert!(!requests.is_idle());
    // With HTTP/2 nobody can tell what of the bytes is a request.
    requests.set_http2();
    assert!(requests.is_idle());
}

#[test]
fn a_socket_that_takes_nothing_wakes_the_reader() {
    let requests = requests();
    assert!(!requests.is_stalled());
    assert!(requests.is_woken_by(|| requests.set_stalled(true)));
    assert!(requests.is_stalled());
    requests.set_stalled(false);
    assert!(!requests.is_stalled());
}
