//! Where in a record the guests' work begins.

use std::collections::BTreeMap;

use super::{RecordFile, reader::Values};
use trapcast_tool::error::Result;

impl RecordFile {
    /// Returns for each VM, by its number, from which row of the file on its windows are its work: the
    /// row after its first `mark`, or 0 where it never marked. In a file that was made for replays only, 0.
    ///
    /// # Errors
    /// [`Error::Input`](trapcast_tool::error::Error::Input) where the file is damaged.
    pub fn work_begins(&self) -> Result<BTreeMap<u16, u64>> {
        let vcpus = &self.metadata().vcpus;
        let mut begins: BTreeMap<_, _> = vcpus.iter().map(|vcpu| (vcpu.vm, 0)).collect();
        if !self.has("mark") {
            return Ok(begins);
        }
        let mut first_row = 0;
        for group in 0..self.row_group_count() {
            let (Values::Numbers(numbers), Values::Bools(marks)) = (
                self.read_column(group, "vcpu")?,
                self.read_column(group, "mark")?,
            ) else {
                unreachable!("the schema says so");
            };
            for ((row, vcpu), mark) in (first_row + 1..).zip(&numbers).zip(marks) {
                let vcpu = vcpu.and_then(|number| vcpus.get(number as usize));
                let vcpu =
                    vcpu.ok_or_else(|| self.refuse("has a window of a vCPU that is none"))?;
                if let (true, Some(begin @ 0)) = (mark, begins.get_mut(&vcpu.vm)) {
                    *begin = row;
                }
            }
            first_row += self.row_group_windows(group) as u64;
        }
        Ok(begins)
    }
}
