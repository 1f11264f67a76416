//! How long it takes from the SGI that wakes a vCPU until it has come, where other vCPUs are woken by the
//! same SGI and keep their cores busy.

use std::path::Path;

use serde::Serialize;

use super::{GUEST_MEMORY, PEER_SCHEME};
use trapcast_machine::{
    console::number,
    image::Image,
    machine::{Cpu, Machine, Vm},
    qemu::last_lines,
    run::{self, LIMIT},
    vectors::RegisterFiles,
};
use trapcast_tool::error::{Error, Result};

/// The cores and vCPUs that are measured: a core for each vCPU, and one vCPU more than cores, so that one has
/// to wait for the end of a time slice.
pub const MACHINES: [(u32, u32); 4] = [(2, 2), (2, 3), (4, 4), (4, 5)];

/// Storms of each of them.
pub const ROUNDS: u32 = 500;

/// The time slice, in microseconds.
pub const SLICE: u32 = 500;

/// The most that a wake-up may take, in slices: one, and what EL2 and the guest do at its end.
pub const AT_MOST: f64 = 1.02;

/// What was measured on one machine. Times are in nanoseconds of the board's clock, which runs by
/// instructions.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct WakeUps {
    /// Cores of the board.
    pub cores: u32,
    /// vCPUs of the VM; all but one are woken at once.
    pub vcpus: u32,
    /// The time slice.
    pub slice: u64,
    /// Wake-ups of each vCPU.
    pub rounds: u64,
    /// The median.
    pub p50: u64,
    /// Of a hundred, one took longer.
    pub p99: u64,
    /// The longest.
    pub longest: u64,
}

impl WakeUps {
    /// The longest wake-up in time slices.
    pub fn slices(&self) -> f64 {
        self.longest as f64 / self.slice as f64
    }
}

/// Measures on a machine of so many cores and vCPUs. `bench` is the bench's guest.
///
/// # Errors
/// [`Error::Run`] where the guest does not finish.
pub fn measure(
    (cores, vcpus): (u32, u32),
    rounds: u32,
    bench: &Image,
    hypervisor: &Path,
) -> Result<WakeUps> {
    let cpu = Cpu::NeoverseN1;
    let machine = Machine {
        cpu,
        cores,
        vhe: cpu.has_vhe(),
        icount: true,
        record: false,
        slice: Some(SLICE),
        vms: vec![Vm {
            kernel: bench.clone(),
            initrd: None,
            initrd_size: 0,
            bootargs: format!("rounds={rounds} only=wake-up"),
            memory: GUEST_MEMORY,
            vcpus,
            scheme: PEER_SCHEME,
            observe: false,
            prompt: true,
            pmu: false,
            registers: RegisterFiles::FP,
        }],
    };
    let outcome = run::run(&machine, hypervisor, LIMIT)?;
    read(&outcome.console, (cores, vcpus)).ok_or_else(|| {
        let lines = last_lines(&outcome.console, "");
        Error::run(format!(
            "the bench's guest did not measure wake-ups.{lines}"
        ))
    })
}

/// Reads `bench: wake-up p50=N p99=N max=N rounds=N`.
fn read(console: &str, (cores, vcpus): (u32, u32)) -> Option<WakeUps> {
    let mut lines = console.lines();
    let line = lines.find_map(|line| line.strip_prefix("bench: wake-up "))?;
    Some(WakeUps {
        cores,
        vcpus,
        slice: u64::from(SLICE) * 1000,
        rounds: number(line, "rounds")?,
        p50: number(line, "p50")?,
        p99: number(line, "p99")?,
        longest: number(line, "max")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_guests_line_is_read() {
        let console = "bench: start rounds=9\nbench: wake-up p50=1 p99=2 max=3 rounds=9\n";
        let expected = WakeUps {
            cores: 2,
            vcpus: 3,
            slice: 500_000,
            rounds: 9,
            p50: 1,
            p99: 2,
            longest: 3,
        };
        assert_eq!(read(console, (2, 3)), Some(expected));
        assert_eq!(read("bench: start rounds=9\n", (2, 3)), None);
    }
}
