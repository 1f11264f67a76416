//! The registers that the distributor and the SGI frame have in common: 32 interrupts at a time.

use super::{BANKS, Effects, HARDWARE_BIT, VcpuSet, Vgic, access::Obstacles, bits};

/// Bits of a priority that are implemented.
const PRIORITY_MASK: u8 = 0xf8;

/// What both frames answer in `IIDR`: product 'T', revision 0, implementer Arm (0x43b).
pub(super) const IIDR: u32 = 0x5400_043b;
/// `GICD_PIDR2` and `GICR_PIDR2`: a GICv3 (`ArchRev` 3), designer Arm.
pub(super) const PIDR2: u32 = 0x3b;
/// Offset of `PIDR2` in both frames.
pub(super) const PIDR2_OFFSET: u64 = 0xffe8;

/// A register that describes interrupts, decoded from its offset.
///
/// The offsets are those of `GICD_*`, which are those of the SGI frame's `GICR_*` for bank 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Register {
    pub(super) bank: usize,
    field: Field,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Group,
    Enable {
        set: bool,
    },
    Pending {
        set: bool,
    },
    Active {
        set: bool,
    },
    /// Interrupts `first` up to `first + count` of the bank.
    Priority {
        first: usize,
        count: usize,
    },
    /// Interrupts `first` up to `first + 16` of the bank.
    Configuration {
        first: usize,
    },
}

impl Register {
    /// The register for an access of `size` bytes at `offset`; none if the access is not one that
    /// the architecture has, or is to interrupts that do not exist.
    pub(super) fn decode(offset: u64, size: usize) -> Option<Self> {
        let offset = usize::try_from(offset).ok()?;
        let word = size == 4 && offset.is_multiple_of(4);
        let index = offset & 0x7f;
        let (bank, field) = match offset {
            0x080..=0x3ff if word => (index / 4, Field::bitmap(offset & !0x7f)?),
            0x400..=0x7ff if word || size == 1 => {
                let intid = offset - 0x400;
                let first = intid % 32;
                (intid / 32, Field::Priority { first, count: size })
            }
            0xc00..=0xcff if word => {
                let intid = (offset - 0xc00) * 4;
                (intid / 32, Field::Configuration { first: intid % 32 })
            }
            _ => return None,
        };
        (bank < BANKS).then_some(Self { bank, field })
    }

    /// Who has to be out of its guest, among `owners`, for an access: a read, or a write of this value.
    pub(super) fn obstacles(self, owners: VcpuSet, write: Option<u64>) -> Obstacles {
        let written = write.map(|value| value as u32);
        let interrupts = match (self.field, written) {
            (Field::Active { set: true }, Some(1..)) => return Obstacles::All(owners),
            (Field::Pending { .. } | Field::Active { .. }, None) => u32::MAX,
            (Field::Pending { set: true }, Some(value)) if self.bank == 0 => value & HARDWARE_BIT,
            (
                Field::Pending { set: false }
                | Field::Active { set: false }
                | Field::Enable { set: false },
                Some(value),
            ) => value,
            _ => return Obstacles::Nobody,
        };
        let mut maps = [0; BANKS];
        maps[self.bank] = interrupts;
        Obstacles::Holders(owners, maps)
    }
}

impl Field {
    fn bitmap(base: usize) -> Option<Self> {
        Some(match base {
            0x080 => Self::Group,
            0x100 => Self::Enable { set: true },
            0x180 => Self::Enable { set: false },
            0x200 => Self::Pending { set: true },
            0x280 => Self::Pending { set: false },
            0x300 => Self::Active { set: true },
            0x380 => Self::Active { set: false },
            _ => return None,
        })
    }
}

impl Vgic {
    /// Reads a register as `vcpu` sees it.
    pub(super) fn read_register(&self, vcpu: usize, register: Register) -> u64 {
        let b = register.bank;
        let bank = self.bank(vcpu, b);
        let value = match register.field {
            Field::Group => bank.group,
            Field::Enable { .. } => bank.enabled,
            Field::Pending { .. } if b == 0 && self.hardware_is_high_and_active(vcpu) => {
                bank.pending() | HARDWARE_BIT
            }
            Field::Pending { .. } => bank.pending(),
            Field::Active { .. } => self.active_anywhere(vcpu, b),
            Field::Priority { first, count } => bank.priority[first..first + count]
                .iter()
                .rev()
                .fold(0, |value, &priority| value << 8 | u32::from(priority)),
            Field::Configuration { first } => spread(bank.edge >> first),
        };
        u64::from(value)
    }

    /// Writes a register as `vcpu`.
    pub(super) fn write_register(
        &mut self,
        vcpu: usize,
        register: Register,
        value: u32,
    ) -> Effects {
        let b = register.bank;
        let bank = self.bank_mut(vcpu, b);
        let changed = match register.field {
            Field::Group => core::mem::replace(&mut bank.group, value) ^ value,
            Field::Enable { set } => assign(&mut bank.enabled, value, set),
            Field::Pending { set } => return self.write_pending(vcpu, b, value, set),
            Field::Active { set } => return self.write_active(vcpu, b, value, set),
            Field::Priority { first, count } => {
                let slots = bank.priority[first..first + count].iter_mut();
                let mut changed = 0;
                for (n, (slot, byte)) in slots.zip(value.to_le_bytes()).enumerate() {
                    let priority = byte & PRIORITY_MASK;
                    changed |= u32::from(*slot != priority) << (first + n);
                    *slot = priority;
                }
                changed
            }
            // SGIs are edge-triggered for good, and so are PPIs level-sensitive here.
            Field::Configuration { .. } if b == 0 => 0,
            Field::Configuration { first } => {
                let mask = 0xffff << first;
                let edge = bank.edge & !mask | gather(value) << first;
                core::mem::replace(&mut bank.edge, edge) ^ edge
            }
        };
        if changed == 0 {
            return Effects::default();
        }
        self.touched(vcpu, b, changed)
    }

    fn write_pending(&mut self, vcpu: usize, b: usize, value: u32, set: bool) -> Effects {
        let mut effects = Effects::default();
        let mut mask = value;
        if b == 0 && value & HARDWARE_BIT != 0 {
            mask &= !HARDWARE_BIT;
            effects = self.hardware_write_pending(vcpu, set);
        }
        if set {
            effects |= self.latch(vcpu, b, mask);
        } else if assign(&mut self.bank_mut(vcpu, b).latch, mask, false) != 0 {
            effects |= self.touched(vcpu, b, mask);
        }
        effects
    }

    fn write_active(&mut self, vcpu: usize, b: usize, mask: u32, set: bool) -> Effects {
        let before = self.active_anywhere(vcpu, b);
        if set {
            for i in bits(mask & !before) {
                self.set_active(self.home(vcpu, b, i), b, 1 << i, true);
            }
        } else if b == 0 {
            self.set_active(vcpu, b, mask, false);
        } else {
            for v in 0..self.vcpus {
                // Before the state is gone that says whose list register it is.
                self.cpus[v].marked |= self.cpus[v].active[b] & mask != 0;
                self.set_active(v, b, mask, false);
            }
        }
        let changed = before ^ self.active_anywhere(vcpu, b);
        let mut effects = Effects::default();
        if b == 0 && changed & HARDWARE_BIT != 0 {
            effects = self.hardware_write_active(vcpu, set);
        }
        effects |= self.touched(vcpu, b, mask);
        effects
    }

    /// The vCPU on which an interrupt becomes active that the guest writes active.
    fn home(&self, vcpu: usize, b: usize, i: usize) -> usize {
        if b == 0 {
            return vcpu;
        }
        let routed = |v: &usize| self.cpus[*v].routed[b] >> i & 1 != 0;
        (0..self.vcpus).find(routed).unwrap_or(0)
    }
}

/// Sets or clears the bits `mask` of `map`; returns those that changed.
fn assign(map: &mut u32, mask: u32, set: bool) -> u32 {
    let new = if set { *map | mask } else { *map & !mask };
    core::mem::replace(map, new) ^ new
}

/// `ICFGR`: two bits for each of 16 interrupts, the upper one set if it is edge-triggered.
fn spread(edge: u32) -> u32 {
    (0..16).fold(0, |value, i| value | (edge >> i & 1) << (2 * i + 1))
}

/// The reverse of [`spread`].
fn gather(value: u32) -> u32 {
    (0..16).fold(0, |edge, i| edge | (value >> (2 * i + 1) & 1) << i)
}
