//! One terminal for the hypervisor and all of its VMs: whose output is where, and which VM gets the input.
//!
//! With several VMs, a VM's output is shown by whole lines, `[vmN] ` before each, and what it has of a line
//! when it waits, such as a prompt. It continues a line that was partly shown on the same line, or, if
//! another one has written meanwhile, on a line of its own with `[vmN+] ` before it. With one VM, output
//! and input pass through unchanged.
//!
//! Nothing of a VM's is lost on either side, whatever the speeds: a byte that does not fit is not taken, and
//! its sender keeps it. Lines of the hypervisor's own are whole, or are reported as left out. Nothing here touches
//! hardware.

extern crate alloc;

use core::fmt::{self, Write};

use alloc::{boxed::Box, collections::VecDeque, vec::Vec};
use arrayvec::ArrayVec;

/// A line of a VM that is longer is shown in pieces, of so many bytes.
const LINE: usize = 512;

/// Bytes that wait to be sent, of all VMs.
const OUTPUT: usize = 16 << 10;

/// Of these, what is kept free for the hypervisor's own lines.
const RESERVED: usize = 1 << 10;

/// The most that is added to a line that is shown: the end of the one before, a tag, a carriage return.
const AROUND_LINE: usize = 16;

/// Bytes that were typed to a VM and that it has not read yet.
const TYPED: usize = 32 << 10;

/// What begins each line of the hypervisor's own.
const OWN: &str = "trapcast: ";

/// The key that, before a digit, says which VM is typed to: Ctrl-]. Twice, it is typed itself.
const ESCAPE: u8 = 0x1d;

/// One VM's side.
#[derive(Debug, Default)]
struct Side {
    /// What it has sent of a line, and not shown yet; empty with one VM.
    line: ArrayVec<u8, LINE>,
    /// A part of this line was shown.
    begun: bool,
    /// What was typed to it.
    typed: VecDeque<u8>,
}

/// What was last on the terminal.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Cursor {
    /// The end of a line.
    Start,
    /// Something in a line: of this VM, if lines are tagged.
    In(Option<usize>),
}

/// What is shown, and waits to be sent: a ring of bytes.
#[derive(Debug)]
struct Screen {
    output: Box<[u8; OUTPUT]>,
    /// Where the first of the bytes is that wait, and how many there are.
    first: usize,
    waiting: usize,
    cursor: Cursor,
}

impl Screen {
    /// How many more bytes VMs may show.
    fn free(&self) -> usize {
        (OUTPUT - RESERVED).saturating_sub(self.waiting)
    }

    /// Shows some text, which fits, and is of this VM, if lines are tagged.
    fn put(&mut self, text: &[u8], of: Option<usize>) {
        for &byte in text {
            self.output[(self.first + self.waiting) % OUTPUT] = byte;
            self.waiting += 1;
        }
        match text.last() {
            Some(b'\n') => self.cursor = Cursor::Start,
            Some(_) => self.cursor = Cursor::In(of),
            None => {}
        }
    }

    /// What ends the line that it is in, if it is in one.
    const fn line_end(&self) -> &'static [u8] {
        match self.cursor {
            Cursor::Start => b"",
            Cursor::In(_) => b"\r\n",
        }
    }
}

impl fmt::Write for Screen {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.put(text.as_bytes(), None);
        Ok(())
    }
}

/// The terminal.
#[derive(Debug)]
pub struct Terminal {
    sides: Vec<Side>,
    /// Whether lines are tagged: with more than one VM.
    tagged: bool,
    screen: Screen,
    /// The VM that is typed to.
    focus: usize,
    /// The escape key was the last one.
    escaped: bool,
    /// Lines of the hypervisor's own that did not fit, since the last one that was shown.
    left_out: usize,
}

/// Counts bytes.
struct Length(usize);

impl fmt::Write for Length {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        Ok(())
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

impl Terminal {
    /// Returns the terminal of a hypervisor without VMs.
    pub fn new() -> Self {
        Self {
            sides: Vec::new(),
            tagged: false,
            screen: Screen {
                output: Box::new([0; OUTPUT]),
                first: 0,
                waiting: 0,
                cursor: Cursor::Start,
            },
            focus: 0,
            escaped: false,
            left_out: 0,
        }
    }

    /// Tells the lines of `vms` VMs apart, if there are several.
    pub fn expect_vms(&mut self, vms: usize) {
        self.tagged = vms > 1;
        self.sides.resize_with(vms, Side::default);
    }

    /// Returns how many VMs there are.
    pub const fn vms(&self) -> usize {
        self.sides.len()
    }

    /// Takes a byte that VM `vm` sends; `false` if it does not fit, and the VM has to keep it.
    pub fn send(&mut self, vm: usize, byte: u8) -> bool {
        if !self.tagged {
            let taken = self.screen.free() > 0;
            if taken {
                self.screen.put(&[byte], None);
            }
            return taken;
        }
        // The carriage return goes before the line feed anyway.
        if byte == b'\r' {
            return true;
        }
        let line = &mut self.sides[vm].line;
        let shows = byte == b'\n' || line.len() + 1 == LINE;
        if shows && self.screen.free() < line.len() + 1 + AROUND_LINE {
            return false;
        }
        line.push(byte);
        if shows {
            self.show_line(vm);
        }
        true
    }

    /// Whether VM `vm` has something of a line that was not shown.
    #[inline]
    pub fn has_prompt(&self, vm: usize) -> bool {
        self.tagged && !self.sides[vm].line.is_empty()
    }

    /// Shows what VM `vm`, which now waits, has of a line, if it fits now.
    pub fn show_prompt(&mut self, vm: usize) {
        if self.has_prompt(vm) && self.screen.free() >= self.sides[vm].line.len() + AROUND_LINE {
            self.show_line(vm);
        }
    }

    /// Shows a line of the hypervisor's own. If it does not fit, it is left out, so that EL2 does not wait for a
    /// slow terminal; the next one that is shown has before it how many were.
    pub fn say_line(&mut self, line: fmt::Arguments<'_>) {
        let left_out = self.left_out;
        let note = fmt::from_fn(|f| match left_out {
            0 => Ok(()),
            _ => write!(f, "{OWN}no room for {left_out} lines before this one\r\n"),
        });
        let mut length = Length(self.screen.line_end().len());
        // Ignored, here and below: counting and showing cannot fail.
        let _ = write!(length, "{note}{OWN}{line}\r\n");
        if OUTPUT - self.screen.waiting < length.0 {
            self.left_out += 1;
            return;
        }
        self.left_out = 0;
        self.end_line();
        let _ = write!(self.screen, "{note}{OWN}{line}\r\n");
    }

    /// Ends the line that the terminal is in, if it is in one and it fits.
    pub fn end_line(&mut self) {
        let end = self.screen.line_end();
        if OUTPUT - self.screen.waiting >= end.len() {
            self.screen.put(end, None);
        }
    }

    /// Returns what is to be sent next: some of it, if anything waits.
    #[inline]
    pub fn output(&self) -> &[u8] {
        let Screen {
            output,
            first,
            waiting,
            ..
        } = &self.screen;
        &output[*first..OUTPUT.min(first + waiting)]
    }

    /// The first `count` bytes of [`Terminal::output`] were sent.
    #[inline]
    pub fn sent(&mut self, count: usize) {
        self.screen.first = (self.screen.first + count) % OUTPUT;
        self.screen.waiting -= count;
    }

    /// Whether a byte can be taken from the keyboard: its receiver has space. An escape takes two.
    pub fn wants_keys(&self) -> bool {
        let typed = self.sides.get(self.focus).map(|side| side.typed.len());
        typed.is_none_or(|typed| typed + 2 <= TYPED)
    }

    /// Takes a byte that was typed, which [`Terminal::wants_keys`] has allowed, and returns the VM that it
    /// is for, if it is for one.
    ///
    /// # Panics
    /// Never for lack of space.
    pub fn type_key(&mut self, byte: u8) -> Option<usize> {
        if self.tagged {
            if core::mem::take(&mut self.escaped) {
                let vm = usize::from(byte.wrapping_sub(b'0'));
                if byte.is_ascii_digit() && vm < self.sides.len() {
                    self.focus = vm;
                    return None;
                }
                if byte != ESCAPE {
                    self.sides[self.focus].typed.push_back(ESCAPE);
                }
            } else if byte == ESCAPE {
                self.escaped = true;
                return None;
            }
        }
        self.sides.get_mut(self.focus)?.typed.push_back(byte);
        Some(self.focus)
    }

    /// Takes the first byte that waits for VM `vm`.
    pub fn next_typed(&mut self, vm: usize) -> Option<u8> {
        self.sides[vm].typed.pop_front()
    }

    /// Forgets what was typed to VM `vm`, which is off for good and will not read it.
    pub fn forget_typed(&mut self, vm: usize) {
        self.sides[vm].typed = VecDeque::new();
    }

    /// Shows what VM `vm` has of a line. The caller has checked that it fits.
    fn show_line(&mut self, vm: usize) {
        let (screen, side) = (&mut self.screen, &mut self.sides[vm]);
        if screen.cursor != Cursor::In(Some(vm)) {
            screen.put(screen.line_end(), None);
            let goes_on = if side.begun { "+" } else { "" };
            // Ignored: it fits.
            let _ = write!(screen, "[vm{vm}{goes_on}] ");
        }
        let whole = side.line.strip_suffix(b"\n");
        screen.put(whole.unwrap_or(&side.line), Some(vm));
        if whole.is_some() {
            screen.put(b"\r\n", None);
        }
        side.begun = whole.is_none();
        side.line.clear();
    }
}

#[cfg(test)]
mod tests;
