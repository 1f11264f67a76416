//! What the windows of a record did, whatever the scheme.

use std::ops::AddAssign;

use trapcast_record::Event;
use trapcast_switch::Tally;

use super::batch::Batch;

/// What the windows of one vCPU did, or those of all vCPUs, whatever the scheme.
///
/// Pairs are of two windows of the same vCPU. A load window that the record does not see put is not
/// counted.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct Windows {
    /// From an entry to its exit.
    pub entry: Tally,
    /// From the load of the vCPU to its put.
    pub load: Tally,
    /// Whether any entry since the vCPU was loaded used the registers.
    used_since_load: bool,
}

impl Windows {
    /// Counts one entry window, and the load window that ends with it, if one does.
    #[inline]
    fn add(&mut self, flags: u8) {
        let used = flags & Event::USED != 0;
        self.entry.add(used);
        self.used_since_load |= used;
        if flags & Event::PUT != 0 {
            self.load.add(std::mem::take(&mut self.used_since_load));
        }
    }

    /// Forgets what was counted, but not what the windows before did.
    fn forget(&mut self) {
        self.entry.forget();
        self.load.forget();
    }
}

impl AddAssign<&Self> for Windows {
    fn add_assign(&mut self, other: &Self) {
        for (sum, tally) in [
            (&mut self.entry, &other.entry),
            (&mut self.load, &other.load),
        ] {
            sum.windows += tally.windows;
            sum.used += tally.used;
            for (sums, counts) in sum.pairs.iter_mut().zip(&tally.pairs) {
                for (sum, count) in sums.iter_mut().zip(counts) {
                    *sum += count;
                }
            }
        }
    }
}

/// The windows of each vCPU as they are counted.
#[derive(Debug, Default)]
pub(super) struct WindowCount {
    /// By number of the vCPU.
    vcpus: Vec<Windows>,
}

impl WindowCount {
    /// Counts the windows of a batch.
    pub fn run(&mut self, batch: &Batch) {
        for (run, flags) in batch.runs() {
            let index = usize::from(run.vcpu);
            if self.vcpus.len() <= index {
                self.vcpus.resize(index + 1, Windows::default());
            }
            let windows = &mut self.vcpus[index];
            flags.iter().for_each(|&flags| windows.add(flags));
        }
    }

    /// Forgets what was counted.
    pub fn forget(&mut self) {
        self.vcpus.iter_mut().for_each(Windows::forget);
    }

    /// Returns the windows of all vCPUs.
    pub fn finish(self) -> Windows {
        let mut all = Windows::default();
        self.vcpus.iter().for_each(|windows| all += windows);
        all
    }
}
