//! Where in a record the guests' work begins.

use std::collections::BTreeMap;

use super::{RecordFile, error::Result};

impl RecordFile {
    /// Returns for each VM, by its number, from which row of the file on its windows are its work: the
    /// row after its first `mark`, or 0 where it never marked. In a file that was made for replays only, 0.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    pub fn work_begins(&self) -> Result<BTreeMap<u16, u64>> {
        let vcpus = &self.metadata().vcpus;
        let mut begins: BTreeMap<_, _> = vcpus.iter().map(|vcpu| (vcpu.vm, 0)).collect();
        if !self.has("mark") {
            return Ok(begins);
        }
        let mut columns = self.columns(0..self.row_group_count(), ["vcpu", "mark"])?;
        let mut row = 0;
        while let Some([numbers, marks]) = columns.next()? {
            for (number, mark) in numbers.iter().zip(marks) {
                row += 1;
                let vm = vcpus[*number as usize].vm;
                if let (1, Some(begin @ 0)) = (mark, begins.get_mut(&vm)) {
                    *begin = row;
                }
            }
        }
        Ok(begins)
    }
}
