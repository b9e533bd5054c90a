//! What can go wrong: with what is asked for, and with what is found.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::VERSION;

/// Why something isn't kept, or can't be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The queues take `max_bytes`.
    #[error("the spool is full")]
    Full,
    /// It wasn't synced within `sync_timeout`, or too much waits for it. It may be kept nevertheless.
    #[error("the disk of the spool is too slow")]
    Slow,
    /// The spool was closed.
    #[error("the spool is closed")]
    Closed,
    /// The disk said no.
    #[error("{doing}: {source}")]
    Io {
        /// What was tried.
        doing: Cow<'static, str>,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// The disk said no before anything was kept.
    #[error("{doing}: {source}\nhint: let this user write there, or set another `spool.dir`")]
    Unusable {
        /// What was tried.
        doing: String,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Something that is kept can't be read now, though nothing says that it is damaged.
    #[error("{} can't be read: {source}\nhint: let this user read and write everything in `spool.dir`; without it, later events would overtake those that are kept there", .path.display())]
    Unreadable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Arc<io::Error>,
    },
    /// Another process has the directory open.
    #[error("the spool directory {} is used by another process\nhint: stop that one, or give each its own `spool.dir`", .0.display())]
    InUse(PathBuf),
    /// It was written by a version with another format.
    #[error("the spool directory {} has the format {found}, and this version reads {VERSION}\nhint: let the version that wrote it drain it, or set another `spool.dir`", .directory.display())]
    Format {
        /// The directory.
        directory: PathBuf,
        /// Its format.
        found: u32,
    },
}

impl Error {
    pub(super) fn io(doing: impl Into<Cow<'static, str>>, source: io::Error) -> Self {
        Self::Io { doing: doing.into(), source: Arc::new(source) }
    }

    pub(super) fn unusable(doing: String, source: io::Error) -> Self {
        Self::Unusable { doing, source: Arc::new(source) }
    }

    pub(super) fn unreadable(path: &Path, source: io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), source: Arc::new(source) }
    }

    /// The metric label.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full => "spool-full",
            Self::Slow => "spool-slow",
            Self::Closed => "spool-closed",
            Self::Io { .. } => "spool-error",
            Self::Unusable { .. } | Self::Unreadable { .. } => "spool-unusable",
            Self::InUse(_) => "spool-in-use",
            Self::Format { .. } => "spool-format",
        }
    }
}

/// Something that was no whole record, or no whole file.
#[derive(Debug, Clone)]
pub struct Damage {
    /// The file that it was found in.
    pub file: PathBuf,
    /// What is wrong.
    pub what: Cow<'static, str>,
    /// How much of it.
    pub bytes: u64,
    /// Where it can be looked at.
    pub copy: Option<PathBuf>,
}

impl Damage {
    pub(super) fn new(file: &Path, what: impl Into<Cow<'static, str>>, bytes: u64) -> Self {
        Self { file: file.to_owned(), what: what.into(), bytes, copy: None }
    }

    /// Something that the device can't read.
    pub(super) fn of_device(file: &Path, error: &io::Error) -> Self {
        Self::new(file, format!("it can't be read: {error}"), 0)
    }
}

/// Whether the device can't read what is there, so that waiting and permissions change nothing.
pub(super) fn is_of_device(error: &io::Error) -> bool {
    const EIO: i32 = 5;
    error.raw_os_error() == Some(EIO)
}

/// Whether it says that there is no such file.
pub(super) fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} bytes", self.file.display(), self.what, self.bytes)?;
        match &self.copy {
            Some(copy) => write!(f, ", kept in {})", copy.display()),
            None => f.write_str(")"),
        }
    }
}
