//! Standard error, without waiting for its reader.
//!
//! A pipe that is not read, or a terminal that was stopped, blocks the thread that writes to it, and with that everything
//! that has something to say: webhooks, health, the end of the process. So there is one thread that writes, and what is
//! to be written waits for it in a buffer of `MAX_BUFFERED_BYTES` bytes. What has no room in there, and what can't be written since
//! the disk behind it is full, is dropped and counted; the log says how much as soon as it can.
//!
//! It is for all commands, and for panics. What has data for standard output calls [`flush`] before, so that both stand
//! in their order on a terminal.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::os::fd::AsFd;
use std::panic;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use tracing::warn;

/// Bytes that may wait to be written. As many more are being written.
const MAX_BUFFERED_BYTES: usize = 1 << 20;

/// Capacity that an empty buffer keeps.
const KEPT_CAPACITY: usize = 64 << 10;

/// Least time between two warnings that something was dropped.
const LOG_INTERVAL: Duration = Duration::from_secs(1);

/// The pause before a descriptor that doesn't block is tried again.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

static BUFFER: OnceLock<Arc<Buffer>> = OnceLock::new();

/// Begin to write from a thread of its own; until then, and where the system has no thread, writing waits. Panics are
/// written like everything else from now on.
pub fn start() {
    let Ok(out) = io::stderr().as_fd().try_clone_to_owned().map(File::from) else { return };
    let buffer = Arc::new(Buffer::default());
    let (writer, name) = (buffer.clone(), "stderr".to_owned());
    let started = thread::Builder::new().name(name).spawn(move || writer.write_to(out));
    if started.is_err() || BUFFER.set(buffer).is_err() {
        return;
    }
    panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let mut text = format!("thread '{}' {panic}", thread.name().unwrap_or("without a name"));
        let trace = Backtrace::capture();
        if trace.status() == BacktraceStatus::Captured {
            text.push_str(&format!("\n{trace}"));
        }
        line(text);
    }));
}

/// Write a line.
pub fn line(line: impl Display) {
    text(format_args!("{line}\n"));
}

/// Write a text as it is, which should end a line.
pub fn text(text: impl Display) {
    // There is nowhere else to report what can't be written.
    let _ = Writer.write_all(text.to_string().as_bytes());
}

/// Wait until everything is written, but not for a reader that has taken nothing for so long. Returns whether it is.
pub fn flush(timeout: Duration) -> bool {
    BUFFER.get().is_none_or(|buffer| buffer.flush(timeout))
}

/// How many lines were dropped.
pub fn dropped() -> u64 {
    BUFFER.get().map_or(0, |buffer| buffer.state.lock().dropped)
}

/// Where the log writes, a line at a time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writer;

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match BUFFER.get() {
            Some(buffer) => buffer.add(bytes),
            None => io::stderr().write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Lines on their way.
#[derive(Default)]
struct Buffer {
    state: Mutex<State>,
    /// There is something to write.
    filled: Condvar,
    /// Something was written.
    emptied: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    is_writing: bool,
    /// How often something was taken by the reader.
    taken: u64,
    /// Lines.
    dropped: u64,
}

impl State {
    fn is_busy(&self) -> bool {
        self.is_writing || !self.waiting.is_empty()
    }
}

impl Buffer {
    fn add(&self, bytes: &[u8]) {
        let mut state = self.state.lock();
        if state.waiting.len() + bytes.len() > MAX_BUFFERED_BYTES {
            state.dropped += count(bytes);
            return;
        }
        state.waiting.extend_from_slice(bytes);
        drop(state);
        self.filled.notify_one();
    }

    fn flush(&self, timeout: Duration) -> bool {
        let mut state = self.state.lock();
        let (mut taken, mut until) = (state.taken, Instant::now() + timeout);
        while state.is_busy() {
            let is_late = self.emptied.wait_until(&mut state, until).timed_out();
            if state.taken != taken {
                (taken, until) = (state.taken, Instant::now() + timeout);
            } else if is_late {
                return false;
            }
        }
        true
    }

    /// The thread; it ends with the process.
    fn write_to(&self, mut out: impl Write) {
        let mut chunk = Vec::new();
        let (mut is_writable, mut is_torn) = (true, false);
        let (mut logged, mut next) = (0, Instant::now());
        loop {
            let dropped = self.state.lock().dropped;
            let should_log = is_writable && dropped > logged;
            self.take(&mut chunk, should_log.then_some(next));
            // Now that there is room for one line more.
            if should_log && Instant::now() >= next {
                warn!(
                    lines = dropped - logged,
                    "lines of the log were dropped: they could not be written in time, or at all"
                );
                (logged, next) = (dropped, Instant::now() + LOG_INTERVAL);
            }
            if !chunk.is_empty() {
                is_writable = self.write(&mut out, &chunk, &mut is_torn);
                chunk.clear();
                chunk.shrink_to(KEPT_CAPACITY);
                let mut state = self.state.lock();
                state.is_writing = false;
                state.taken += 1;
                self.emptied.notify_all();
            }
        }
    }

    /// All that waits, as soon as something does, or nothing at this time.
    fn take(&self, chunk: &mut Vec<u8>, until: Option<Instant>) {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            match until {
                None => self.filled.wait(&mut state),
                Some(until) => {
                    if self.filled.wait_until(&mut state, until).timed_out() {
                        return;
                    }
                }
            }
        }
        mem::swap(&mut state.waiting, chunk);
        state.is_writing = true;
    }

    /// Write all of it, or what can be written. Returns whether that is all.
    fn write(&self, out: &mut impl Write, chunk: &[u8], is_torn: &mut bool) -> bool {
        let mut rest = chunk;
        // The next line begins with a line of its own, whatever became of the one before.
        let mut result = if *is_torn { write_some(out, b"\n").map(drop) } else { Ok(()) };
        while result.is_ok() && !rest.is_empty() {
            result = write_some(out, rest).map(|length| {
                *is_torn = rest.get(length.wrapping_sub(1)) != Some(&b'\n');
                rest = &rest[length..];
                self.state.lock().taken += 1;
            });
        }
        if rest.is_empty() {
            return true;
        }
        self.state.lock().dropped += count(rest);
        false
    }
}

/// Write as much as it takes at once, which is something.
fn write_some(out: &mut impl Write, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match out.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // A process that shares it has made it so.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => pause(),
            result => return result,
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this thread serves nobody else")]
fn pause() {
    thread::sleep(RETRY_INTERVAL);
}

/// How many lines these are.
fn count(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count().max(1) as u64
}

#[cfg(test)]
mod tests;
