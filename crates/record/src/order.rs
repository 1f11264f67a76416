//! Puts the windows of several cores, each of which wrote its own in order, into one order.

use trapcast_trace::record::Record;

/// Records of several cores, by number of the core, in the order of their windows' starts.
///
/// That keeps the order of each core and of each vCPU, which is all that counts of a replay depend on: a
/// vCPU starts a window on another core only after it was put, long after the start of its last one.
/// Whether another vCPU took the registers of one that moves before they were fetched, or after, is
/// settled between two windows that may start at the same time; one exchange is then counted as a
/// fetch or is part of another.
pub fn by_start(cores: &[Vec<Record>]) -> impl Iterator<Item = (usize, &Record)> {
    let mut rest: Vec<&[Record]> = cores.iter().map(Vec::as_slice).collect();
    std::iter::from_fn(move || {
        let heads = rest.iter().enumerate();
        let (core, _) = heads
            .filter_map(|(core, records)| Some((core, records.first()?.start)))
            .min_by_key(|&(core, start)| (start, core))?;
        let (first, others) = rest[core].split_first()?;
        rest[core] = others;
        Some((core, first))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_keep_their_order_and_the_earliest_comes_first() {
        let records = |starts: &[u64]| -> Vec<Record> {
            let record = |&start| Record {
                start,
                ..Record::default()
            };
            starts.iter().map(record).collect()
        };
        let cores = [records(&[1, 5, 5, 9]), records(&[]), records(&[2, 5, 8])];
        let order: Vec<_> = by_start(&cores)
            .map(|(core, record)| (core, record.start))
            .collect();
        assert_eq!(
            order,
            [(0, 1), (2, 2), (0, 5), (0, 5), (2, 5), (2, 8), (0, 9)]
        );
    }
}
