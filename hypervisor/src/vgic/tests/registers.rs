//! The register maps, by table, and accesses that no sane guest makes.

use proptest::prelude::*;

use super::super::{MAX_VCPUS, SPIS, Vgic};
use super::{cases, enabled_vgic, sgi_frame};

/// (offset, size, value) after reset.
const DISTRIBUTOR_RESET: &[(u64, usize, u64)] = &[
    (0x0000, 4, 0x50),        // CTLR: DS, ARE; groups disabled
    (0x0004, 4, 0x0248_0002), // TYPER: No1N, 10 bits of INTID, 96 interrupts, no LPIs, no MBIs
    (0x0008, 4, 0x5400_043b), // IIDR
    (0x0080, 4, 0),           // IGROUPR0 is the redistributors'
    (0x0084, 4, 0xffff_ffff), // IGROUPR1
    (0x0088, 4, 0xffff_ffff), // IGROUPR2
    (0x008c, 4, 0),           // IGROUPR3: no such interrupts
    (0x0104, 4, 0),           // ISENABLER1
    (0x0420, 1, 0),           // IPRIORITYR of 32
    (0x0c00, 4, 0),           // ICFGR0 is the redistributors'
    (0x0c08, 4, 0),           // ICFGR2: level-sensitive
    (0x6100, 8, 0),           // IROUTER32
    (0xffe8, 4, 0x3b),        // PIDR2
];

const REDISTRIBUTOR_RESET: &[(u64, usize, u64)] = &[
    (0x0000, 4, 0),               // vCPU 0 CTLR
    (0x0004, 4, 0x5400_043b),     // IIDR
    (0x0008, 8, 0),               // TYPER: not the last
    (0x0014, 4, 0b110),           // WAKER
    (0xffe8, 4, 0x3b),            // PIDR2
    (0x1_0080, 4, 0xffff_ffff),   // IGROUPR0
    (0x1_0c00, 4, 0xaaaa_aaaa),   // ICFGR0: SGIs are edge-triggered
    (0x1_0c04, 4, 0),             // ICFGR1: PPIs are level-sensitive
    (0x1_0084, 4, 0),             // no IGROUPR1 here
    (0x2_0008, 8, 0x1_0000_0110), // vCPU 1 TYPER: Aff0 = 1, number 1, the last
    (0x2_0008, 4, 0x110),         // its halves
    (0x2_000c, 4, 1),
    (0x4_0008, 8, 0), // no vCPU 2
];

#[test]
fn registers_after_reset() {
    let vgic = Vgic::new(2);
    for &(offset, size, value) in DISTRIBUTOR_RESET {
        let read = vgic.distributor_read(offset, size);
        assert_eq!(read, value, "GICD {offset:#x}");
    }
    for &(offset, size, value) in REDISTRIBUTOR_RESET {
        let read = vgic.redistributor_read(offset, size);
        assert_eq!(read, value, "GICR {offset:#x}");
    }
}

/// (offset, size, what is written, what is read back), on a distributor fresh from reset.
const DISTRIBUTOR_WRITES: &[(u64, usize, u64, u64)] = &[
    (0x0000, 4, 0xffff_ffff, 0x53),
    (0x0004, 4, 0xffff_ffff, 0x0248_0002),
    (0x0084, 4, 0x1234_5678, 0x1234_5678),
    (0x0104, 4, 0x8000_0001, 0x8000_0001),
    (0x0184, 4, 0x8000_0001, 0), // ICENABLER: clears what is clear
    (0x0204, 4, 0x0000_0100, 0x0000_0100),
    (0x0304, 4, 0x0000_0200, 0x0000_0200),
    (0x0420, 1, 0xff, 0xf8),
    (0x0420, 4, 0xa1a2_a3ff, 0xa0a0_a0f8),
    (0x045f, 1, 0xa0, 0xa0), // the last one, 95
    (0x0460, 1, 0xa0, 0),
    (0x0c08, 4, 0xffff_ffff, 0xaaaa_aaaa),
    (0x0c14, 4, 0x0000_0008, 0x0000_0008),
    (0x0c18, 4, 0xffff_ffff, 0),
    (0x6100, 8, 0xff_8012_3456, 0xff_0012_3456), // IRM is RAZ/WI
    (0x6104, 4, 7, 7),
    (0x62f8, 8, 1, 1), // the last one, 95
    (0x6300, 8, 1, 0),
    (0x60f8, 8, 1, 0), // 31 has none
    // Accesses that the architecture does not have.
    (0x0084, 8, 0, 0),
    (0x0085, 4, 0, 0),
    (0x0084, 2, 0, 0),
    (0x0420, 2, 0xffff, 0),
    (0x6100, 1, 1, 0),
];

#[test]
fn distributor_writes() {
    for &(offset, size, value, expected) in DISTRIBUTOR_WRITES {
        let mut vgic = Vgic::new(2);
        let _ = vgic.distributor_write(offset, size, value);
        let read = vgic.distributor_read(offset, size);
        assert_eq!(read, expected, "GICD {offset:#x}, {size} bytes");
    }
}

#[test]
fn configuration_of_private_interrupts_is_fixed() {
    let mut vgic = Vgic::new(1);
    for (offset, value) in [(0xc00, 0xaaaa_aaaa), (0xc04, 0)] {
        let _ = vgic.redistributor_write(sgi_frame(0, offset), 4, !value);
        assert_eq!(vgic.redistributor_read(sgi_frame(0, offset), 4), value);
    }
}

#[test]
fn redistributors_are_apart() {
    let mut vgic = Vgic::new(3);
    let _ = vgic.redistributor_write(sgi_frame(1, 0x100), 4, 0x0800_0001);
    for vcpu in 0..3 {
        let expected = if vcpu == 1 { 0x0800_0001 } else { 0 };
        let read = vgic.redistributor_read(sgi_frame(vcpu, 0x100), 4);
        assert_eq!(read, expected);
    }
}

#[test]
fn waker_follows() {
    let mut vgic = Vgic::new(1);
    let _ = vgic.redistributor_write(0x14, 4, 0);
    assert_eq!(vgic.redistributor_read(0x14, 4), 0);
    let _ = vgic.redistributor_write(0x14, 4, 0b010);
    assert_eq!(vgic.redistributor_read(0x14, 4), 0b110);
}

#[test]
#[should_panic(expected = "1 to 8 vCPUs")]
fn too_many_vcpus() {
    let _ = Vgic::new(MAX_VCPUS + 1);
}

fn any_offset() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..0x1_0000, 0u64..0x12_0000, any::<u64>()]
}

fn any_size() -> impl Strategy<Value = usize> {
    prop_oneof![Just(1), Just(2), Just(4), Just(8), any::<usize>()]
}

proptest! {
    #![proptest_config(cases(256))]

    /// A hostile guest gets no panic, and no interrupt that is not there.
    #[test]
    fn any_access_is_harmless(
        accesses in prop::collection::vec((any_offset(), any_size(), any::<u64>(), 0..6), 1..64),
        vcpus in 1..=MAX_VCPUS,
    ) {
        let mut vgic = enabled_vgic(vcpus);
        for (offset, size, value, kind) in accesses {
            let vcpu = offset as usize % vcpus;
            let effects = match kind {
                0 => vgic.distributor_write(offset, size, value),
                1 => vgic.redistributor_write(offset, size, value),
                2 => vgic.send_sgi(vcpu, value),
                3 => vgic.send_sgi_group0(vcpu, value),
                4 => vgic.deactivate(vcpu, value as u32),
                _ => vgic.set_level(vcpu, offset as u32, value & 1 != 0),
            };
            prop_assert!(effects.wake.into_iter().all(|v| v < vcpus));
            prop_assert_eq!(vgic.distributor_read(offset, size) >> 32 >> 8, 0);
            let _ = vgic.redistributor_read(offset, size);
            let count = vgic.flush(vcpu, size).expect("no access waits");
            prop_assert!(count <= 16);
            let listed = &vgic.list(vcpu)[..vgic.used(vcpu)];
            prop_assert!(listed.iter().all(|lr| (*lr as u32) < 32 + SPIS as u32));
            let garbage = listed.iter().map(|lr| lr ^ value).collect::<Vec<_>>();
            let _ = vgic.sync(vcpu, |n| garbage[n], || value);
        }
    }
}
