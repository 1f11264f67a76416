//! Tests of the virtual GIC: registers by table, delivery by scenario and against a model.

mod core;
mod delivery;
mod live;
mod machine;
mod model;
mod overflow;
mod registers;
mod smp;
mod timer;

use proptest::test_runner::{Config, RngSeed};

use super::{Effects, REDISTRIBUTOR_SIZE, Vgic};

/// Property tests of `cases` cases with a fixed seed; `PROPTEST_RNG_SEED` and `PROPTEST_CASES`
/// explore others.
fn cases(cases: u32) -> Config {
    let from_environment = Config::default();
    let explored = from_environment.rng_seed != RngSeed::Random;
    Config {
        cases: if explored {
            from_environment.cases
        } else {
            cases
        },
        rng_seed: if explored {
            from_environment.rng_seed
        } else {
            RngSeed::Fixed(0x61c5)
        },
        failure_persistence: None,
        ..from_environment
    }
}

/// Offset of a register of `vcpu`'s SGI frame.
fn sgi_frame(vcpu: usize, offset: u64) -> u64 {
    vcpu as u64 * REDISTRIBUTOR_SIZE + 0x1_0000 + offset
}

/// Writes a 32-bit register of the bank that `intid` is in, at its `GICD_*` offset for bank 0.
fn write_bit(vgic: &mut Vgic, vcpu: usize, register: u64, intid: u32) -> Effects {
    let bit = 1 << (intid % 32);
    match intid {
        0..32 => vgic.redistributor_write(sgi_frame(vcpu, register), 4, bit),
        _ => vgic.distributor_write(register + u64::from(intid / 32) * 4, 4, bit),
    }
}

/// Reads a bit of a 32-bit register, as [`write_bit`].
fn read_bit(vgic: &Vgic, vcpu: usize, register: u64, intid: u32) -> bool {
    let value = match intid {
        0..32 => vgic.redistributor_read(sgi_frame(vcpu, register), 4),
        _ => vgic.distributor_read(register + u64::from(intid / 32) * 4, 4),
    };
    value >> (intid % 32) & 1 != 0
}

/// Writes `IPRIORITYR` of one interrupt.
fn write_priority(vgic: &mut Vgic, vcpu: usize, intid: u32, priority: u8) -> Effects {
    let offset = 0x400 + u64::from(intid);
    match intid {
        0..32 => vgic.redistributor_write(sgi_frame(vcpu, offset), 1, priority.into()),
        _ => vgic.distributor_write(offset, 1, priority.into()),
    }
}

/// A controller with both groups enabled, as Linux leaves it, but for single interrupts.
fn enabled_vgic(vcpus: usize) -> Vgic {
    let mut vgic = Vgic::new(vcpus);
    let _ = vgic.distributor_write(0, 4, 0b11);
    vgic
}

/// A controller with these interrupts enabled on all vCPUs.
fn vgic_with(vcpus: usize, intids: &[u32]) -> Vgic {
    let mut vgic = enabled_vgic(vcpus);
    for vcpu in 0..vcpus {
        for &intid in intids {
            let _ = write_bit(&mut vgic, vcpu, ISENABLER, intid);
        }
    }
    vgic
}

const ISENABLER: u64 = 0x100;
const ICENABLER: u64 = 0x180;
const ISPENDR: u64 = 0x200;
const ICPENDR: u64 = 0x280;
const ISACTIVER: u64 = 0x300;
const ICACTIVER: u64 = 0x380;
