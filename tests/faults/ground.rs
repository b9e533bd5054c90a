//! The brokers, each with a proxy in front of it that the bridge may be led through.

use crate::proxy::{Closed, Proxy};
use crate::support::{Kafka, Nats};

pub(crate) struct Ground {
    pub(crate) nats: Nats,
    pub(crate) kafka: Kafka,
    pub(crate) nats_proxy: Proxy,
    pub(crate) kafka_proxy: Proxy,
}

impl Ground {
    /// Nothing when a part is not on this machine.
    pub(crate) async fn start() -> Option<Ground> {
        let (nats_proxy, kafka_proxy) = (Closed::bind().await, Closed::bind().await);
        let (nats, kafka) = tokio::join!(Nats::start(), Kafka::start_behind(kafka_proxy.port()));
        let (nats, kafka) = (nats?, kafka?);
        let nats_proxy = nats_proxy.open(nats.port());
        let kafka_proxy = kafka_proxy.open(kafka.port_behind());
        Some(Ground { nats, kafka, nats_proxy, kafka_proxy })
    }
}
