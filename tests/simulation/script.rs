//! What happens to a process, and when: chance decides, with an eye for what is dangerous together.

use std::collections::BTreeSet;
use std::time::Duration;

use hookbus::publish::dead_letters::{Filter, Task};
use tokio::time::sleep;

use crate::broker::{Mode, NameFault};
use crate::disk::{CURSOR, DESTINATION, LOCK, Weather};
use crate::history::{DESTINATIONS, NAMES, numbers_in};
use crate::life::Life;
use crate::world::World;

/// Everything that is kept of dead letters.
pub(crate) fn all() -> Filter {
    Filter { all: true, ..Filter::default() }
}

impl Life<'_> {
    fn world(&self) -> &World {
        &self.stage.world
    }

    /// Go on until the script is at its end; the process may die before.
    pub(crate) async fn play(&mut self) {
        for _ in 0..5 + self.world().below(25) {
            match self.world().below(100) {
                0..30 => self.burst().await,
                30..45 => self.brokers(),
                45..55 => self.weather(),
                55..68 => self.pause(5..3_000).await,
                68..73 => self.remove(),
                73..77 => self.publish_dead_letters(),
                77..84 => self.hand_over().await,
                84..94 => self.sync_late().await,
                _ => self.outage_with_a_loss().await,
            }
        }
        if self.world().percent(60) {
            // Something is left for the next one.
            let broker = self.any_destination();
            self.stage.broker(broker).set_mode(Mode::Down);
            self.burst().await;
            self.pause(0..30).await;
        }
    }

    async fn pause(&self, range: std::ops::Range<usize>) {
        sleep(self.world().milliseconds(range)).await;
    }

    fn any_destination(&self) -> usize {
        let all: Vec<_> = self.configured.iter().collect();
        *all[self.world().below(all.len())]
    }

    fn any_name(&self, destination: usize) -> &'static str {
        let names = NAMES[destination];
        names[self.world().below(names.len())]
    }

    fn any_key(&self) -> Option<usize> {
        (!self.world().percent(8)).then(|| self.world().below(self.stage.climate.keys))
    }

    /// An event of a key for a destination, and sometimes for another one too.
    fn one(&mut self, key: Option<usize>, destination: usize) {
        let mut to = vec![(destination, self.any_name(destination))];
        let other = self.any_destination();
        if other != destination && self.world().percent(25) {
            to.push((other, self.any_name(other)));
        }
        let is_dropped = self.world().percent(5).then(|| {
            let range = if self.world().percent(50) { 1..40 } else { 40..1_500 };
            self.world().milliseconds(range)
        });
        self.send(key, to, is_dropped);
    }

    /// Some events, close together.
    async fn burst(&mut self) {
        let (destination, key) = (self.any_destination(), self.any_key());
        for _ in 0..1 + self.world().below(6) {
            let key = if self.world().percent(80) { key } else { self.any_key() };
            self.one(key, destination);
            if self.world().percent(50) {
                self.pause(0..12).await;
            }
        }
    }

    /// Events of one key, one after the other, for as long as some of them are under way.
    async fn flow(&mut self, key: Option<usize>, destination: usize) {
        for _ in 0..3 + self.world().below(9) {
            self.one(key, destination);
            self.pause(1..25).await;
        }
    }

    /// One of the brokers does something else from now on.
    fn brokers(&mut self) {
        let destination = self.any_destination();
        let broker = self.stage.broker(destination);
        if self.world().percent(30) {
            let name = NAMES[destination].last().expect("a name");
            let fault = [None, None, Some(NameFault::Certain), Some(NameFault::Unsure)];
            let fault = fault[self.world().below(4)];
            self.world().note(format_args!("{name}: {fault:?}"));
            return broker.set_fault(name, fault);
        }
        if self.world().percent(10) {
            return broker.refuse_next(1 + self.world().below(6));
        }
        let mode = match self.world().below(12) {
            0..5 => Mode::Fine,
            5 => Mode::Slow,
            6 | 7 => Mode::Down,
            8 => Mode::Frozen,
            9 => Mode::Mute,
            10 => Mode::Full,
            _ => Mode::Election,
        };
        self.world().note(format_args!("the broker of {destination} is {mode:?}"));
        broker.set_mode(mode);
    }

    fn weather(&mut self) {
        let kind = self.world().below(10);
        self.world().note(format_args!("weather {kind}"));
        self.stage.disk.weather(|weather| match kind {
            0 => weather.is_full = true,
            1 => weather.syncs_fail = true,
            2 => weather.renames_fail = true,
            3 => weather.opens_fail = 40,
            4 => weather.slow = Some(20..600),
            5 => weather.slow = Some(900..2_500),
            _ => *weather = Weather::default(),
        });
    }

    /// Somebody removes a file.
    fn remove(&self) {
        let is_rough = self.stage.climate.is_rough;
        let end = match if is_rough { self.world().below(10) } else { 9 } {
            0 => LOCK,
            1 | 2 => CURSOR,
            3 => DESTINATION,
            _ => ".segment",
        };
        let Some((path, content)) = self.stage.disk.remove_a(end) else { return };
        self.world().note(format_args!("somebody removes {}", path.display()));
        let folder = path.parent().and_then(|path| path.file_name()).unwrap_or_default();
        let folder = folder.to_string_lossy();
        let known = ["nats_a", "kafka_b", "nats_c"];
        let destination = known.iter().position(|known| folder.contains(known));
        let life = self.world().life();
        self.stage.history.with(|history| match end {
            ".segment" => {
                let numbers = numbers_in(&content);
                history.removed.extend(numbers.map(|number| (number, destination)));
            }
            CURSOR => history.forgotten.push((life, destination)),
            _ => {}
        });
    }

    fn publish_dead_letters(&mut self) {
        let listens = self.world().milliseconds(10..4_000);
        if !self.stage.climate.is_rough || self.world().percent(60) {
            return self.replay(Task::Replay(all()), listens);
        }
        let only = self.world().percent(50).then(|| self.any_destination());
        let filter = only.map_or_else(all, |only| Filter {
            destinations: vec![DESTINATIONS[only].to_owned()],
            ..Filter::default()
        });
        let began = self.world().now();
        self.stage.history.with(|history| history.dropped.push((began, only)));
        self.replay(Task::Drop(filter), listens);
    }

    /// A queue that nobody publishes is drained, and then its destination comes back.
    async fn hand_over(&mut self) {
        let absent = self.stage.climate.destinations.iter().copied();
        let absent: Vec<_> = absent.filter(|one| !self.configured.contains(one)).collect();
        if absent.is_empty() {
            return;
        }
        let destination = absent[self.world().below(absent.len())];
        if self.world().percent(70) {
            self.stage.broker(destination).set_mode(Mode::Fine);
        }
        let listens = self.world().milliseconds(1..3_000);
        self.replay(Task::Drain(DESTINATIONS[destination].to_owned()), listens);
        self.pause(0..60).await;
        if self.world().percent(80) {
            let mut configured: BTreeSet<_> = self.configured.clone();
            configured.insert(destination);
            self.reload(configured);
            let key = self.any_key();
            self.flow(key, destination).await;
        }
    }

    /// An outage begins while a sync takes longer than anybody waits, and ends soon after it.
    async fn sync_late(&mut self) {
        let (destination, key) = (self.any_destination(), self.any_key());
        let broker = self.stage.broker(destination).clone();
        let outage = [Mode::Down, Mode::Down, Mode::Full, Mode::Frozen][self.world().below(4)];
        self.world().note(format_args!("a late sync at {destination}, {outage:?}"));
        broker.set_mode(outage);
        self.stage.disk.weather(|weather| weather.slow = Some(1_000..2_600));
        for _ in 0..1 + self.world().below(2) {
            self.one(key, destination);
            self.pause(0..20).await;
        }
        self.pause(0..1_200).await;
        self.stage.disk.weather(|weather| weather.slow = None);
        if self.world().percent(60) {
            self.one(key, destination);
        }
        self.pause(0..2_600).await;
        self.one(key, destination);
        self.pause(0..100).await;
        broker.set_mode(if self.world().percent(70) { Mode::Fine } else { Mode::Slow });
        self.flow(key, destination).await;
        self.flow(key, destination).await;
    }

    /// A file vanishes while it is written to.
    async fn outage_with_a_loss(&mut self) {
        let (destination, key) = (self.any_destination(), self.any_key());
        let broker = self.stage.broker(destination).clone();
        broker.set_mode(Mode::Down);
        self.flow(key, destination).await;
        self.remove();
        self.flow(key, destination).await;
        self.pause(0..1_500).await;
        broker.set_mode(Mode::Fine);
        self.flow(key, destination).await;
    }

    /// Some time passes.
    pub(crate) async fn pass(&self, time: Duration) {
        sleep(time).await;
    }
}
