//! Few file descriptors: connections get what the disk and the brokers don't need, and an event is kept whatever
//! clients hold open.

use super::event;
use crate::support::{Bridge, ports};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// More than there are descriptors.
const IDLE: usize = 400;

#[tokio::test]
async fn idle_connections_leave_room_for_the_disk() {
    let dead = format!("nats://127.0.0.1:{}", ports::free());
    for limit in [100, 200] {
        let rules: String = (0..8)
            .map(|number| {
                format!("[[endpoint.event]]\ntypes = [\"type-{number}\"]\nto = [\"nats:few.{number}.{{type}}\"]\n")
            })
            .collect();
        let script = format!("ulimit -n {limit}; exec \"$0\" \"$@\"");
        let bridge = Bridge::config(&(super::open("few") + &rules))
            .nats_at(&dead)
            .under(&["sh", "-c", &script, "env"])
            .start()
            .await;
        // This one has its connection already.
        assert_eq!(bridge.post("/few", event("first"), &[]).await.status, 202);
        let mut idle = Vec::new();
        for _ in 0..IDLE {
            let connect = timeout(Duration::from_secs(5), TcpStream::connect(bridge.address()));
            idle.push(connect.await.unwrap().unwrap());
            // And those of the admin listener.
            let connect =
                timeout(Duration::from_secs(5), TcpStream::connect(bridge.admin_address()));
            idle.push(connect.await.unwrap().unwrap());
        }
        for number in 0..8 {
            let body = event("c").replace("status-update", &format!("type-{number}"));
            let answer = bridge.post("/few", body, &[]).await;
            assert_eq!(answer.status, 202, "{limit}: {}\n{}", answer.text(), bridge.log());
        }
        let log = bridge.log();
        assert!(!log.contains("can't be kept"), "{log}");
        assert!(!log.contains("no connection can be accepted"), "{log}");
        assert!(log.contains("fewer files may be open"), "{log}");
        assert!(log.contains(&format!("limit={limit}")), "{log}");
        drop(idle);
        // All of them are served in the end.
        assert_eq!(bridge.post("/few", event("last"), &[]).await.status, 202);
    }
}
