//! The brokers, each with a proxy in front of it that the bridge may be led through.

use crate::proxy::{Closed, Proxy};
use crate::support::{Kafka, Nats};
use crate::webhook::Broker;

pub(crate) struct Ground {
    pub(crate) nats: Nats,
    pub(crate) kafka: Kafka,
    nats_proxy: Proxy,
    kafka_proxy: Proxy,
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

    /// A connection to NATS that isn't led through the proxy.
    pub(crate) async fn client(&self) -> async_nats::Client {
        self.nats.client().await
    }

    /// The last lines of what they wrote.
    pub(crate) fn logs(&self) -> String {
        let last = |log: String| {
            let lines: Vec<&str> = log.lines().collect();
            lines[lines.len().saturating_sub(30)..].join("\n")
        };
        format!(
            "nats-server wrote:\n{}\nKafka wrote:\n{}",
            last(self.nats.log()),
            last(self.kafka.log())
        )
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self, broker: Broker) {
        match broker {
            Broker::Nats => self.nats.kill(),
            Broker::Kafka => self.kafka.kill(),
        }
    }

    /// Starts one again with what it has on disk; kills it first where it still runs.
    pub(crate) async fn restart(&mut self, broker: Broker) {
        match broker {
            Broker::Nats => self.nats.restart().await,
            Broker::Kafka => self.kafka.restart().await,
        }
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&mut self, broker: Broker) {
        match broker {
            Broker::Nats => self.nats.stop_signal(),
            Broker::Kafka => self.kafka.stop_signal(),
        }
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self, broker: Broker) {
        match broker {
            Broker::Nats => self.nats.cont_signal(),
            Broker::Kafka => self.kafka.cont_signal(),
        }
    }

    /// What stands in front of one.
    pub(crate) fn proxy(&self, broker: Broker) -> &Proxy {
        match broker {
            Broker::Nats => &self.nats_proxy,
            Broker::Kafka => &self.kafka_proxy,
        }
    }
}
