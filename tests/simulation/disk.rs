//! A disk in memory: what is synced is safe, what isn't is lost with the power, and everything fails now and then.

mod file;
mod weather;

use std::collections::BTreeMap;
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hookbus::spool::disk::{self, Job};
use hookbus::spool::disk::{File, Join, Lock, Task};
use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use self::file::{Content, Handle};
pub(crate) use self::weather::Weather;
use crate::world::{Step, World};

/// The files of a spool that somebody may remove, beside its segments.
pub(crate) const LOCK: &str = "/lock";
pub(crate) const CURSOR: &str = "/cursor";
pub(crate) const DESTINATION: &str = "/destination";

/// How a process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crash {
    /// The machine goes on: what was written is there.
    Kill,
    /// What wasn't synced may be gone, or half there.
    Power,
}

/// A name stands for a directory, or a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Directory,
    File(usize),
}

#[derive(Clone)]
pub(crate) struct Disk {
    world: Arc<World>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    /// What is left of the names without power.
    safe_names: BTreeMap<PathBuf, Node>,
    files: Vec<Content>,
    weather: Weather,
    /// Until when it is busy with slow syncs, on the clock of the run (that of tokio is another one in each life), and which
    /// files are safe then.
    busy: Option<Duration>,
    syncing: Vec<(usize, usize)>,
    writer: Option<JoinHandle<()>>,
    /// The power took what a failed sync had left for clean.
    has_holes: bool,
    /// Since when nothing is wrong with it; nothing while something is.
    fair_since: Option<Duration>,
    /// When the last of the slow syncs is over, on the clock of the run.
    slow_until: Duration,
    /// When somebody removed the lock.
    unlocked: Option<Duration>,
}

impl State {
    /// The sync of a file is over.
    fn is_synced(&mut self, file: usize) {
        let files = &mut self.files;
        self.syncing.retain(|(syncing, length)| {
            if *syncing == file {
                files[file].is_safe(*length);
            }
            *syncing != file
        });
    }
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn missing() -> io::Error {
    io::ErrorKind::NotFound.into()
}

impl Disk {
    pub(crate) fn new(world: Arc<World>) -> Self {
        let state = State { fair_since: Some(Duration::ZERO), ..State::default() };
        Self { world, state: Arc::new(Mutex::new(state)) }
    }

    /// One operation. What a process does when it is dead is not done.
    fn step(&self) -> io::Result<()> {
        if self.world.step() == Step::Alive { Ok(()) } else { Err(dead()) }
    }

    /// Change the weather.
    pub(crate) fn weather(&self, change: impl FnOnce(&mut Weather)) {
        let now = self.world.now();
        let mut state = self.state.lock();
        change(&mut state.weather);
        let is_fair = state.weather == Weather::default();
        state.fair_since = is_fair.then(|| state.fair_since.unwrap_or(now));
    }

    pub(crate) fn is_fair(&self) -> bool {
        self.state.lock().weather == Weather::default()
    }

    /// How long nothing has been wrong with it, and no slow sync has been waited for.
    pub(crate) fn fair_for(&self) -> Duration {
        let now = self.world.now();
        let state = self.state.lock();
        let since = state.fair_since.map(|since| since.max(state.slow_until));
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Since when nobody else is kept out: somebody removed the lock.
    pub(crate) fn unlocked(&self) -> Option<Duration> {
        self.state.lock().unlocked
    }

    /// Wait until the writer has ended; says whether it did so in order.
    pub(crate) async fn written(&self) -> bool {
        let writer = self.state.lock().writer.take();
        match writer {
            Some(writer) => writer.await.is_ok(),
            None => true,
        }
    }

    /// Somebody removes one of the files whose names end so, if there is one: says which, and what stood in it.
    pub(crate) fn remove_a(&self, end: &str) -> Option<(PathBuf, Vec<u8>)> {
        let now = self.world.now();
        let mut state = self.state.lock();
        let is_meant = |path: &&PathBuf| path.to_string_lossy().ends_with(end);
        let files: Vec<_> = state.names.keys().filter(is_meant).cloned().collect();
        if files.is_empty() {
            return None;
        }
        let path = files[self.world.below(files.len())].clone();
        if end == LOCK {
            state.unlocked.get_or_insert(now);
        }
        let content = match state.names.remove(&path) {
            Some(Node::File(file)) => state.files[file].bytes.clone(),
            _ => Vec::new(),
        };
        Some((path, content))
    }

    /// The process is gone; what does that leave?
    pub(crate) fn crash(&self, crash: Crash) {
        let mut state = self.state.lock();
        let state = &mut *state;
        state.busy = None;
        state.writer = None;
        let world = &self.world;
        let syncing = std::mem::take(&mut state.syncing);
        if crash == Crash::Kill {
            return;
        }
        for (file, length) in syncing {
            if world.percent(50) {
                state.files[file].is_safe(length);
            }
        }
        if world.percent(50) {
            state.names = state.safe_names.clone();
        } else {
            state.safe_names = state.names.clone();
        }
        for content in &mut state.files {
            state.has_holes |= content.lose_power(world);
        }
    }

    /// Whether a process may have read something that a failed sync had left in memory alone, and that is gone now.
    pub(crate) fn has_holes(&self) -> bool {
        self.state.lock().has_holes
    }

    /// A sync begins; says how it ends.
    fn sync(&self, file: Option<usize>) -> io::Result<()> {
        self.step()?;
        // Whatever was being synced before is safe now, or will have been waited for.
        self.busy();
        let mut state = self.state.lock();
        if state.weather.syncs_fail && self.world.percent(70) {
            self.world.note(format_args!("a sync of {file:?} fails"));
            if let Some(file) = file {
                state.files[file].forget();
            }
            return Err(io::Error::from_raw_os_error(weather::EIO));
        }
        let slow = state.weather.slow.clone();
        if let Some(range) = slow.filter(|_| self.world.percent(60)) {
            let now = self.world.now();
            let until = state.busy.unwrap_or(now).max(now) + self.world.milliseconds(range);
            state.busy = Some(until);
            state.slow_until = until;
            if let Some(file) = file {
                let length = state.files[file].bytes.len();
                state.syncing.push((file, length));
            }
        } else if let Some(file) = file {
            let length = state.files[file].bytes.len();
            state.files[file].is_safe(length);
        }
        Ok(())
    }

    /// Until when it is busy; what was being synced until now is safe.
    fn busy(&self) -> Option<Duration> {
        let now = self.world.now();
        let mut state = self.state.lock();
        let state = &mut *state;
        state.busy.take_if(|until| *until <= now);
        if state.busy.is_none() {
            for (file, length) in state.syncing.drain(..) {
                state.files[file].is_safe(length);
            }
        }
        state.busy
    }

    fn node(&self, path: &Path) -> io::Result<Node> {
        self.state.lock().names.get(path).copied().ok_or_else(missing)
    }

    fn handle(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        match self.node(path)? {
            Node::File(file) => Ok(Arc::new(Handle { disk: self.clone(), file })),
            Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
        }
    }

    /// Whether something can be opened.
    fn may_open(&self) -> io::Result<()> {
        let percent = self.state.lock().weather.opens_fail;
        if percent > 0 && self.world.percent(percent) {
            return Err(io::Error::from_raw_os_error(weather::EMFILE));
        }
        Ok(())
    }

    fn may_grow(&self) -> io::Result<()> {
        if self.state.lock().weather.is_full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl disk::Disk for Disk {
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        for above in path.ancestors() {
            state.names.entry(above.to_owned()).or_insert(Node::Directory);
        }
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.step()?;
        self.may_open()?;
        if self.node(path)? != Node::Directory {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let state = self.state.lock();
        let names = state.names.keys();
        Ok(names.filter(|name| name.parent() == Some(path)).cloned().collect())
    }

    fn is_directory(&self, path: &Path) -> bool {
        self.node(path).is_ok_and(|node| node == Node::Directory)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.step()?;
        self.may_open()?;
        self.may_grow()?;
        if self.node(path).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.node(path.parent().unwrap_or(path))?;
        {
            let mut state = self.state.lock();
            let file = state.files.len();
            state.files.push(Content::default());
            state.names.insert(path.to_owned(), Node::File(file));
            self.world.note(format_args!("{} is file {file}", path.display()));
        }
        self.handle(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.step()?;
        self.may_open()?;
        self.handle(path)
    }

    fn append(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.open(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        let mut state = self.state.lock();
        if state.weather.renames_fail && self.world.percent(70) {
            return Err(io::Error::from_raw_os_error(weather::EIO));
        }
        let node = state.names.remove(from).ok_or_else(missing)?;
        if let Node::File(file) = node {
            // What was synced before, however slowly, is safe before its new name is.
            state.is_synced(file);
        }
        state.names.insert(to.to_owned(), node);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.step()?;
        self.state.lock().names.remove(path).map(drop).ok_or_else(missing)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.sync(None)?;
        let mut state = self.state.lock();
        let state = &mut *state;
        let is_in = |name: &PathBuf| name.parent() == Some(path);
        state.safe_names.retain(|name, _| !is_in(name));
        let there = state.names.iter().filter(|(name, _)| is_in(name));
        state.safe_names.extend(there.map(|(name, node)| (name.clone(), *node)));
        Ok(())
    }

    /// It needs no file to be opened.
    fn is_intact(&self, path: &Path, file: &dyn File, length: u64) -> io::Result<bool> {
        self.step()?;
        let Node::File(there) = self.node(path)? else { return Ok(false) };
        Ok(file.identity() == Some((1, there as u64)) && file.length()? == length)
    }

    /// Nobody else wants it. It takes no step, and none is needed to see who has it.
    fn lock(&self, path: &Path) -> Result<Lock, TryLockError> {
        let mut state = self.state.lock();
        state.unlocked = None;
        let file = state.files.len();
        let node = *state.names.entry(path.to_owned()).or_insert(Node::File(file));
        if node == Node::File(file) {
            state.files.push(Content::default());
        }
        Ok(Box::new(node))
    }

    fn holds(&self, path: &Path, lock: &Lock) -> bool {
        lock.downcast_ref::<Node>().copied() == self.node(path).ok()
    }

    fn run(&self, job: Job) -> Task {
        let disk = self.clone();
        Box::pin(async move {
            if disk.world.percent(30) {
                sleep(disk.world.milliseconds(0..4)).await;
            }
            job();
            disk::Disk::settled(&disk).await;
        })
    }

    fn settled(&self) -> Task {
        let disk = self.clone();
        Box::pin(async move {
            if disk.world.percent(30) {
                sleep(disk.world.milliseconds(0..4)).await;
            }
            while let Some(until) = disk.busy() {
                sleep(until.saturating_sub(disk.world.now())).await;
            }
        })
    }

    fn start(&self, writer: Task) -> io::Result<Join> {
        self.state.lock().writer = Some(tokio::spawn(writer));
        // Its end is waited for by `written`: nothing may block here.
        Ok(Box::new(|| {}))
    }
}
