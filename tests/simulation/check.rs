//! What must hold of a whole run, whatever happened in it.

use std::collections::{BTreeMap, BTreeSet};

use hookbus::message::{Receipt, Refusal};

use crate::broker::Copy;
use crate::disk::Crash;
use crate::history::{Answer, Inner as History, Sent, destination_of};
use crate::life::{ANSWER, CALM, Stage, WATCH};
use crate::run::End;

/// Nobody has waited longer than is promised when a process ends, and who waits then will never be told.
pub(crate) fn nobody_waits(stage: &Stage) {
    let Stage { world, history, .. } = stage;
    let (life, now) = (world.life(), world.now());
    let waits = history.with(|history| {
        let sent = &history.sent;
        sent.iter().position(|sent| {
            sent.life == life && sent.answer == Answer::Waits && now - sent.began > ANSWER
        })
    });
    if let Some(number) = waits {
        world.fail(format_args!("event {number} still waits at the end of its process"));
    }
}

/// `ends` says how each process ended.
pub(crate) fn check(stage: &Stage, ends: &[End]) {
    for destination in stage.climate.destinations.iter().copied() {
        let copies: Vec<Copy> = stage.broker(destination).with_stored(|stored| {
            let ours = stored.iter().filter(|copy| destination_of(copy.name) == destination);
            ours.cloned().collect()
        });
        let found = stage.history.with(|history| {
            let one = Destination { destination, copies, history, ends };
            one.nothing_is_lost()
                .and_then(|()| one.nothing_is_doubled())
                .and_then(|()| one.first_copies_are_in_order())
                .and_then(|()| one.acknowledged_copies_are_in_order())
        });
        if let Err(broken) = found {
            stage.world.fail(broken);
        }
    }
}

struct Destination<'a> {
    destination: usize,
    copies: Vec<Copy>,
    history: &'a History,
    /// By process.
    ends: &'a [End],
}

impl Destination<'_> {
    /// What has an order: the key, and the name of what waits apart.
    fn lane<'a>(&'a self, sent: &Sent, name: &'a str) -> Option<(usize, &'a str)> {
        let is_unsteady = self.history.unsteady.contains(name);
        sent.key.map(|key| (key, if is_unsteady { name } else { "" }))
    }

    fn copies_of(&self, number: usize) -> impl Iterator<Item = &Copy> {
        self.copies.iter().filter(move |copy| copy.number == number)
    }

    /// Somebody removed a file that held it. It is lost, unless the name comes back when the power fails.
    fn was_removed(&self, number: usize) -> bool {
        let mut places = [Some(self.destination), None].into_iter();
        places.any(|place| self.history.removed.contains(&(number, place)))
    }

    /// It may have been a dead letter when somebody dropped those.
    fn was_dropped(&self, sent: &Sent) -> bool {
        sent.is_poison
            && self.history.dropped.iter().any(|(time, only)| {
                *time >= sent.began && only.is_none_or(|only| only == self.destination)
            })
    }

    /// Who got a 2xx finds its event stored, and who was refused a place doesn't.
    fn nothing_is_lost(&self) -> Result<(), String> {
        let there: BTreeSet<usize> = self.copies.iter().map(|copy| copy.number).collect();
        for (number, sent) in self.history.sent.iter().enumerate() {
            let Some(name) = sent.name_at(self.destination) else { continue };
            let is_there = there.contains(&number);
            let is_excused = self.was_removed(number) || self.was_dropped(sent);
            if sent.is_promised() && !is_there && !is_excused {
                return Err(format!("event {number} is not stored as {name}: {sent:?}"));
            }
            if let Answer::Refused(Refusal::Overloaded(_)) = sent.answer
                && is_there
            {
                return Err(format!("event {number} is stored as {name}: {sent:?}"));
            }
            if sent.answer == Answer::Given(Receipt::Stored)
                && !self.copies_of(number).any(|copy| copy.is_acknowledged)
            {
                return Err(format!("nobody acknowledged event {number}: {sent:?}"));
            }
        }
        Ok(())
    }

    /// Whether the next process may not know what this copy's did with it: somebody removed what says so, the power
    /// failed, or the end came too soon after it.
    fn is_forgotten(&self, copy: &Copy, next: &Copy) -> bool {
        let mut between = copy.life..next.life;
        let mut forgotten = self.history.forgotten.iter();
        forgotten.any(|(life, of)| between.contains(life) && *of == Some(self.destination))
            || between.any(|life| match self.ends[life] {
                End::Clean => false,
                End::Crash { crash: Crash::Power, .. } => true,
                End::Crash { crash: Crash::Kill, at, fair_for } => {
                    life == copy.life && (at - copy.told < WATCH || fair_for < CALM)
                }
            })
    }

    /// What was acknowledged is sent again only if the end of a process hid that.
    fn nothing_is_doubled(&self) -> Result<(), String> {
        let mut acknowledged: BTreeMap<usize, Vec<&Copy>> = BTreeMap::new();
        for copy in self.copies.iter().filter(|copy| copy.is_acknowledged) {
            acknowledged.entry(copy.number).or_default().push(copy);
        }
        for (number, mut copies) in acknowledged {
            copies.sort_by_key(|copy| copy.told);
            let lives: Vec<_> = copies.iter().map(|copy| copy.life).collect();
            let sent = &self.history.sent[number];
            let name = sent.name_at(self.destination).unwrap_or_default();
            let crashes = |from: usize, to: usize| {
                let crashes = self.ends[from..to].iter().filter(|end| !matches!(end, End::Clean));
                let forgotten = self.history.forgotten.iter();
                crashes.count() + forgotten.filter(|(life, _)| (from..to).contains(life)).count()
            };
            // What moves to those that wait apart, or to the dead letters, stands in two places for a while.
            let places =
                usize::from(sent.is_poison) + usize::from(self.history.unsteady.contains(name));
            let last = lives.last().copied().unwrap_or_default();
            let is_explained = match places {
                0 => copies.windows(2).all(|two| self.is_forgotten(two[0], two[1])),
                more => lives.len() <= (more + 2).pow(crashes(sent.life, last) as u32),
            };
            if !is_explained {
                return Err(format!(
                    "event {number} was acknowledged in lives {lives:?}: {sent:?}"
                ));
            }
        }
        Ok(())
    }

    /// The events that got a 2xx are stored in the order in which they came, without those that no broker takes.
    fn first_copies_are_in_order(&self) -> Result<(), String> {
        let (mut known, mut last) = (BTreeSet::new(), BTreeMap::new());
        for copy in self.copies.iter().filter(|copy| known.insert(copy.number)) {
            self.is_next(copy, &mut last)?;
        }
        Ok(())
    }

    /// The same for all that was acknowledged to one process: it sends nothing behind what is younger. What was on its way
    /// to those that wait apart may come back in both places.
    fn acknowledged_copies_are_in_order(&self) -> Result<(), String> {
        let is_meant =
            |copy: &&Copy| copy.is_acknowledged && !self.history.unsteady.contains(copy.name);
        for life in 1..self.ends.len() {
            let mut last = BTreeMap::new();
            for copy in self.copies.iter().filter(is_meant).filter(|copy| copy.life == life) {
                self.is_next(copy, &mut last)?;
            }
        }
        Ok(())
    }

    fn is_next<'a>(
        &'a self,
        copy: &'a Copy,
        last: &mut BTreeMap<(usize, &'a str), usize>,
    ) -> Result<(), String> {
        let sent = &self.history.sent[copy.number];
        let Some(lane) = self.lane(sent, copy.name) else { return Ok(()) };
        if sent.is_poison || !sent.is_promised() || self.was_removed(copy.number) {
            return Ok(());
        }
        match last.insert(lane, copy.number) {
            Some(before) if before > copy.number => {
                let Copy { name, number, time, .. } = copy;
                Err(format!("{name} stored event {before} before {number} ({time:?}): {sent:?}"))
            }
            _ => Ok(()),
        }
    }
}
