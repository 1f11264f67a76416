//! Where in a record the guests are at work.

use std::{collections::BTreeMap, ops::Range};

use super::{RecordFile, error::Result};

/// Rows of a VM's windows.
#[derive(Clone, Copy, Debug)]
struct Rows {
    first: u64,
    /// That of its first mark.
    mark: Option<u64>,
    last: u64,
}

impl RecordFile {
    /// Returns for each VM, by its number, from which row of the file on its windows are its work: the
    /// row after its first `mark`, or 0 where it never marked. In a file that was made for replays only, 0.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    pub fn work_begins(&self) -> Result<BTreeMap<u16, u64>> {
        let vcpus = &self.metadata().vcpus;
        let mut begins: BTreeMap<_, _> = vcpus.iter().map(|vcpu| (vcpu.vm, 0)).collect();
        let marked = self.rows_of_vms()?.into_iter();
        begins.extend(marked.filter_map(|(vm, rows)| Some((vm, rows.mark? + 1))));
        Ok(begins)
    }

    /// Returns the rows of the file, in the order of its windows, in which all VMs are at work: from behind the
    /// last first `mark` of a VM, and behind the first window of each that never marks, to the last window of
    /// the VM that ends first. All of them where no VM marks, or the file was made for replays only; none
    /// where one VM has ended before another begins its work.
    ///
    /// # Errors
    /// [`Damaged`](crate::Error::Damaged) where the file is.
    pub fn work_phase(&self) -> Result<Range<u64>> {
        let vms = self.rows_of_vms()?;
        if vms.values().all(|rows| rows.mark.is_none()) {
            return Ok(0..self.windows());
        }
        let begins = vms.values().map(|rows| match rows.mark {
            Some(mark) => mark + 1,
            None => rows.first,
        });
        let ends = vms.values().map(|rows| rows.last + 1);
        let (begin, end) = (begins.max().unwrap_or(0), ends.min().unwrap_or(0));
        Ok(begin..end.max(begin))
    }

    /// Returns which rows of the file are whose, by number of the VM; nothing of a file without marks.
    fn rows_of_vms(&self) -> Result<BTreeMap<u16, Rows>> {
        let vcpus = &self.metadata().vcpus;
        let mut vms = BTreeMap::new();
        if !self.has("mark") {
            return Ok(vms);
        }
        let mut columns = self.columns(0..self.row_group_count(), ["vcpu", "mark"])?;
        let mut row = 0;
        while let Some([numbers, marks]) = columns.next()? {
            for (number, mark) in numbers.iter().zip(marks) {
                let vm = vcpus[*number as usize].vm;
                let rows = vms.entry(vm).or_insert(Rows {
                    first: row,
                    mark: None,
                    last: row,
                });
                rows.last = row;
                if *mark == 1 {
                    rows.mark.get_or_insert(row);
                }
                row += 1;
            }
        }
        Ok(vms)
    }
}
