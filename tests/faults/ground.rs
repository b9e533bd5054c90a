//! The brokers, each with a proxy in front of it that the bridge may be led through.

use crate::proxy::{Closed, Proxy};
use crate::support::{Kafka, Nats};
use crate::webhook::Broker;

pub(crate) struct Ground {
    pub(crate) nats: Nats,
    pub(crate) kafka: Kafka,
    /// Further members of a cluster; the first is the one above.
    pub(crate) more_nats: Vec<Nats>,
    pub(crate) more_kafka: Vec<Kafka>,
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
        let (more_nats, more_kafka) = (Vec::new(), Vec::new());
        Some(Ground { nats, kafka, more_nats, more_kafka, nats_proxy, kafka_proxy })
    }

    /// Makes a cluster of three members out of one of the brokers.
    pub(crate) async fn gather(&mut self, broker: Broker) {
        match broker {
            Broker::Nats => {
                let mut servers = Nats::start_cluster(3).await.expect("it was there before");
                self.nats = servers.remove(0);
                self.more_nats = servers;
            }
            Broker::Kafka => {
                for number in 2..=3 {
                    self.more_kafka.push(self.kafka.join(number).await);
                }
            }
        }
    }

    /// How many copies there are of what is stored in it.
    pub(crate) fn copies(&self, broker: Broker) -> usize {
        1 + match broker {
            Broker::Nats => self.more_nats.len(),
            Broker::Kafka => self.more_kafka.len(),
        }
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

    fn nats(&mut self, place: usize) -> &mut Nats {
        if place == 0 { &mut self.nats } else { &mut self.more_nats[place - 1] }
    }

    fn kafka(&mut self, place: usize) -> &mut Kafka {
        if place == 0 { &mut self.kafka } else { &mut self.more_kafka[place - 1] }
    }

    /// SIGKILL to a member of a cluster, or to the first and only one.
    pub(crate) fn kill(&mut self, broker: Broker, place: usize) {
        match broker {
            Broker::Nats => self.nats(place).kill(),
            Broker::Kafka => self.kafka(place).kill(),
        }
    }

    /// Starts one again with what it has on disk; kills it first where it still runs.
    pub(crate) async fn restart(&mut self, broker: Broker, place: usize) {
        match broker {
            Broker::Nats => self.nats(place).restart().await,
            Broker::Kafka => self.kafka(place).restart().await,
        }
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&mut self, broker: Broker, place: usize) {
        match broker {
            Broker::Nats => self.nats(place).stop_signal(),
            Broker::Kafka => self.kafka(place).stop_signal(),
        }
    }

    /// SIGCONT.
    pub(crate) fn thaw(&mut self, broker: Broker, place: usize) {
        match broker {
            Broker::Nats => self.nats(place).cont_signal(),
            Broker::Kafka => self.kafka(place).cont_signal(),
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
