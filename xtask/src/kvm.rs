//! What Linux KVM spends on the same paths on the same QEMU: the figures to compare with.
//!
//! Measured for this project: Linux 6.1.192 (Debian) on QEMU 7.2's TCG, one core, mitigations off.
//! Each figure is the number of instructions executed outside the guest between two of the guest's
//! own, and the same in nearly every round. Instructions, not cycles: an ISB, a TLBI, an ERET and a
//! 16-byte store count one each.

use serde::Serialize;

use trapcast_machine::machine::Cpu;

/// KVM's instructions on one path.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Peer {
    /// The name that our bench gives the path.
    pub path: &'static str,
    /// With VHE on neoverse-n1.
    pub neoverse_n1: u32,
    /// With VHE on max, if it was measured there.
    pub max: Option<u32>,
    /// Without VHE on cortex-a57, if it was measured there.
    pub cortex_a57: Option<u32>,
}

/// Where the figures come from, for tables and results.
pub const SOURCE: &str =
    "Linux 6.1.192 KVM on QEMU 7.2, mitigations off, measured for this project";

/// KVM's figures.
pub const PEERS: &[Peer] = &[
    peer("hvc-null", 1044, 1050, 1544),
    peer("hvc-unknown", 978, 984, 1478),
    peer("gicd-iidr", 1802, 1808, 2292),
    peer("id-register", 1405, 1414, 1905),
    peer("sgi-self", 2479, 2485, 2947),
    peer("fp-trap-switch", 189, 197, 209),
    on_neoverse_n1("tick-switch", 8853),
    // With the trap of the first use after it.
    on_neoverse_n1("tick-switch-fp", 9042 + 189),
];

/// Exits of a Linux guest from boot to power-off under KVM with a small VMM.
pub const BOOT_EXITS: u32 = 4900;

/// Its wall time as a multiple of the same boot without a hypervisor.
pub const BOOT_WALL_RATIO: f64 = 2.4;

const fn peer(path: &'static str, neoverse_n1: u32, max: u32, cortex_a57: u32) -> Peer {
    Peer {
        path,
        neoverse_n1,
        max: Some(max),
        cortex_a57: Some(cortex_a57),
    }
}

const fn on_neoverse_n1(path: &'static str, neoverse_n1: u32) -> Peer {
    Peer {
        path,
        neoverse_n1,
        max: None,
        cortex_a57: None,
    }
}

/// KVM's instructions on a path, if they were measured.
pub fn instructions(path: &str, cpu: Cpu) -> Option<u32> {
    let peer = PEERS.iter().find(|peer| peer.path == path)?;
    match cpu {
        Cpu::NeoverseN1 => Some(peer.neoverse_n1),
        Cpu::Max => peer.max,
        Cpu::CortexA57 => peer.cortex_a57,
        Cpu::A64fx | Cpu::MaxOf(_) => None,
    }
}
