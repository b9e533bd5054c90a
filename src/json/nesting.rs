//! Which brackets are open: one bit a level.

/// A stack of bits, the innermost ones in a register.
#[derive(Default)]
pub(super) struct Nesting {
    inner: u64,
    outer: Vec<u64>,
    depth: usize,
}

impl Nesting {
    /// Opens an object.
    #[inline(always)]
    pub(super) fn object(&mut self) {
        self.array();
        self.inner |= 1;
    }

    /// Opens an array.
    #[inline(always)]
    pub(super) fn array(&mut self) {
        // The first levels need no memory.
        if self.depth.is_multiple_of(64) && self.depth > 0 {
            self.outer.push(self.inner);
        }
        self.inner <<= 1;
        self.depth += 1;
    }

    /// Closes the innermost bracket. There has to be one.
    #[inline(always)]
    pub(super) fn close(&mut self) {
        self.depth -= 1;
        self.inner >>= 1;
        if self.depth.is_multiple_of(64) {
            self.inner = self.outer.pop().unwrap_or_default();
        }
    }

    /// Whether the innermost bracket is an object's.
    #[inline(always)]
    pub(super) fn in_object(&self) -> bool {
        self.inner & 1 == 1
    }

    /// Whether nothing is open.
    #[inline(always)]
    pub(super) fn is_empty(&self) -> bool {
        self.depth == 0
    }
}
