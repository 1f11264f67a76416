//! The distributor's frame: `GICD_*` registers.

use super::registers::{IIDR, PIDR2, PIDR2_OFFSET, Register};
use super::{BANKS, CTLR_ENABLE_GROUPS, Effects, SPIS, VcpuSet, Vgic, access::Obstacles};

const CTLR: u64 = 0x0000;
const TYPER: u64 = 0x0004;
const IIDR_OFFSET: u64 = 0x0008;
/// `GICD_IROUTER<32>`, the first that exists.
const IROUTER: u64 = 0x6000 + 8 * 32;
const IROUTER_END: u64 = IROUTER + 8 * SPIS as u64;

/// `GICD_CTLR.ARE` and `DS`, which are RAO/WI.
const CTLR_FIXED: u32 = 1 << 4 | 1 << 6;
/// `GICD_TYPER`: `No1N`, `IDbits` (10 bits of INTID), `ITLinesNumber`.
const TYPER_VALUE: u32 = 1 << 25 | 9 << 19 | (BANKS as u32 - 1);

impl Vgic {
    /// A guest's read of `size` bytes at `offset` into the distributor.
    ///
    /// What does not exist reads as zero, whatever the offset and the size.
    #[inline(never)]
    pub(super) fn distributor_read(&self, offset: u64, size: usize) -> u64 {
        if let Some(route) = Route::decode(offset, size) {
            return route.read(&self.routes);
        }
        match (offset, size) {
            (CTLR, 4) => u64::from(CTLR_FIXED | self.enabled_groups),
            (TYPER, 4) => u64::from(TYPER_VALUE),
            (IIDR_OFFSET, 4) => u64::from(IIDR),
            (PIDR2_OFFSET, 4) => u64::from(PIDR2),
            _ => match Register::decode(offset, size) {
                // With affinity routing, SGIs and PPIs are in the redistributors alone.
                Some(register) if register.bank > 0 => self.read_register(0, register),
                _ => 0,
            },
        }
    }

    /// A guest's write of `size` bytes at `offset` into the distributor.
    ///
    /// What does not exist is left alone, whatever the offset, the size and the value.
    pub(super) fn distributor_write(&mut self, offset: u64, size: usize, value: u64) -> Effects {
        if let Some(route) = Route::decode(offset, size) {
            return self.write_route(route, value);
        }
        match (offset, size) {
            (CTLR, 4) => self.write_ctlr(value as u32),
            _ => match Register::decode(offset, size) {
                Some(register) if register.bank > 0 => {
                    self.write_register(0, register, value as u32)
                }
                _ => Effects::default(),
            },
        }
    }

    /// Who has to be out of its guest for an access: a read, or a write of this value.
    pub(super) fn distributor_obstacles(
        &self,
        offset: u64,
        size: usize,
        write: Option<u64>,
    ) -> Obstacles {
        let all = VcpuSet::first(self.vcpus);
        if let Some(route) = Route::decode(offset, size) {
            return match write {
                Some(_) => route.obstacles(all),
                None => Obstacles::Nobody,
            };
        }
        match (offset, size, write) {
            (CTLR, 4, Some(value)) if self.enabled_groups & !value as u32 != 0 => {
                Obstacles::Holders(all, [u32::MAX; BANKS])
            }
            _ => match Register::decode(offset, size) {
                Some(register) if register.bank > 0 => register.obstacles(all, write),
                _ => Obstacles::Nobody,
            },
        }
    }

    fn write_ctlr(&mut self, value: u32) -> Effects {
        self.enabled_groups = value & CTLR_ENABLE_GROUPS;
        let mut effects = Effects::default();
        for vcpu in 0..self.vcpus {
            for b in 0..BANKS {
                effects |= self.mark(vcpu, b, u32::MAX);
            }
        }
        effects
    }

    fn write_route(&mut self, route: Route, value: u64) -> Effects {
        let (spi, (b, bit)) = (route.spi, route.place());
        route.write(&mut self.routes, value);
        // The vCPU that had it must drop it at its next entry.
        let mut effects = self.touched(0, b, bit);
        for (vcpu, cpu) in self.cpus.iter_mut().enumerate() {
            cpu.routed[b] &= !bit;
            if self.routes[spi] == vcpu as u32 {
                cpu.routed[b] |= bit;
            }
        }
        effects.wake = VcpuSet::EMPTY;
        effects |= self.touched(0, b, bit);
        effects
    }
}

/// An access to `GICD_IROUTER<n>`, to all of it or to one half.
#[derive(Clone, Copy)]
struct Route {
    spi: usize,
    part: Part,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Low,
    High,
    Both,
}

impl Route {
    fn decode(offset: u64, size: usize) -> Option<Self> {
        if !(IROUTER..IROUTER_END).contains(&offset) {
            return None;
        }
        let part = match (size, offset % 8) {
            (8, 0) => Part::Both,
            (4, 0) => Part::Low,
            (4, 4) => Part::High,
            _ => return None,
        };
        let spi = usize::try_from((offset - IROUTER) / 8).ok()?;
        Some(Self { spi, part })
    }

    /// Bank and bit of the interrupt.
    fn place(self) -> (usize, u32) {
        (1 + self.spi / 32, 1 << (self.spi % 32))
    }

    /// Who has to be out of its guest, among `all`, for the route to change.
    fn obstacles(self, all: VcpuSet) -> Obstacles {
        let (b, bit) = self.place();
        let mut maps = [0; BANKS];
        maps[b] = bit;
        Obstacles::Holders(all, maps)
    }

    fn read(self, routes: &[u32; SPIS]) -> u64 {
        let route = u64::from(routes[self.spi]);
        let low = route & 0x00ff_ffff;
        let aff3 = route >> 24;
        match self.part {
            Part::Low => low,
            Part::High => aff3,
            Part::Both => aff3 << 32 | low,
        }
    }

    /// `Interrupt_Routing_Mode` is RAZ/WI, as `GICD_TYPER.No1N` says.
    fn write(self, routes: &mut [u32; SPIS], value: u64) {
        let route = &mut routes[self.spi];
        let aff3 = match self.part {
            Part::Low => *route >> 24,
            Part::High => value as u32 & 0xff,
            Part::Both => (value >> 32) as u32 & 0xff,
        };
        let low = match self.part {
            Part::High => *route,
            Part::Low | Part::Both => value as u32,
        };
        *route = aff3 << 24 | low & 0x00ff_ffff;
    }
}
