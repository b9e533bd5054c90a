//! What the disk does wrong at the moment.

use std::ops::Range;

/// `EIO`: the device failed.
pub(super) const EIO: i32 = 5;
/// `EMFILE`: this process has too many files open.
pub(super) const EMFILE: i32 = 24;

/// Fair weather is the default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Weather {
    pub(crate) is_full: bool,
    /// Most syncs fail, and what they were to make safe is forgotten.
    pub(crate) syncs_fail: bool,
    pub(crate) renames_fail: bool,
    /// So many of a hundred files can't be opened, though nothing is wrong with them.
    pub(crate) opens_fail: usize,
    /// Most syncs take so many milliseconds.
    pub(crate) slow: Option<Range<usize>>,
}
