//! Whether a SIGHUP comes from a terminal that was closed, or from somebody who meant another process.

use std::fs::File;

/// The terminal that controls this process, wherever its input and output go.
const TERMINAL: &str = "/dev/tty";
/// The bit of SIGHUP in a set of signals.
const SIGHUP: u64 = 1;

/// The terminal at the start of the process.
#[derive(Debug)]
pub(super) struct Terminal {
    was_open: bool,
}

impl Terminal {
    pub(super) fn now() -> Self {
        Self { was_open: is_open() }
    }

    /// Whether there was one, and it is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.was_open && !is_open()
    }
}

fn is_open() -> bool {
    File::open(TERMINAL).is_ok()
}

/// Whether the parent had this process ignore SIGHUP, as `nohup` does. Where the system doesn't tell, it hasn't.
pub(super) fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored(&status).is_some_and(|signals| signals & SIGHUP != 0)
}

fn ignored(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(line.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_of_ignored_signals_is_read() {
        assert_eq!(ignored("Name:\tx\nSigIgn:\t0000000000001001\nSigCgt:\t00\n"), Some(0x1001));
        assert_eq!(ignored("Name:\tx\n"), None);
        assert_eq!(ignored("SigIgn:\tnothing\n"), None);
    }
}
