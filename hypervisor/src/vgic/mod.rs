//! The virtual GICv3 of one VM: its distributor, its redistributors and what goes into list registers.
//!
//! The guest sees an interrupt controller with one Security state (`GICD_CTLR.DS` = 1), affinity
//! routing always on, five bits of priority, [`SPIS`] shared peripheral interrupts from INTID 32 on,
//! and neither LPIs nor an ITS. vCPU `n` has affinity 0.0.0.`n`. The CPU interface is the one that
//! the hardware virtualises (`ICV_*` registers over `ICH_LR<n>_EL2`), so this module never sees an
//! acknowledgement or an end of interrupt: it reads them off the list registers after an exit.
//!
//! Nothing here touches hardware. EL2 passes register values in and writes values out. vCPUs of one VM
//! run on several cores at once; each call is made under one lock per VM, whichever vCPUs are in their guests:
//!
//! * after an exit, if [`Vgic::looked_at`] is not 0: call [`Vgic::sync`], which reads the list registers
//!   in use; then, if [`Vgic::hardware_is_watched`], look at the virtual timer and call
//!   [`Vgic::hardware_seen`];
//! * before an entry: if [`Vgic::needs_flush`], call [`Vgic::flush`], write what it says; then, under
//!   the same lock, [`Vgic::entered`];
//! * but an exit with [`Vgic::looked_at`] 0 after which no call is made on the vCPU's behalf need not be
//!   reported: it is entered again as if it had been in its guest, unless it was kicked;
//! * before the core does anything else than enter that vCPU again (another one, WFI, a wait for
//!   another core): [`Vgic::left`]; with any call on its behalf, too, it avoids a needless kick;
//! * when another vCPU is loaded: write [`Vgic::list`] into all list registers that the core has, and
//!   [`Vgic::hcr`]; give this core's physical virtual-timer interrupt the active state that
//!   [`Vgic::hardware_written`] says. `ICH_VMCR_EL2` and `ICH_AP0R<n>_EL2`, `ICH_AP1R<n>_EL2`
//!   are the vCPU's too, and EL2's to save and restore. That is all that moves with a vCPU to another
//!   core, which needs as many list registers as the first;
//! * after any call: carry out the [`Effects`]. A guest's access to a frame ([`Vgic::read`],
//!   [`Vgic::write`]) may have to wait until others have exited.
//!
//! # Invariants
//! 1. **The banks are authoritative**, but for what the guest does to live list registers, those of a vCPU
//!    between [`Vgic::entered`] and [`Vgic::sync`]. List registers are a copy that `flush` makes and
//!    `sync` folds back. `sync` clears a pending state that the guest acknowledged, unless an edge has
//!    come since the flush: that one is pending again.
//! 2. **A list register is never stale for long.** Whatever changes the state of an interrupt marks
//!    the vCPUs that it may concern, and a marked vCPU is flushed before it is entered. One that is in
//!    its guest is kicked (`Effects::kick`), so that it exits, is synced and flushed.
//! 3. **What has to be exact waits.** An interrupt is in the list registers of one vCPU at most: the one
//!    that it is routed to or active on. Before a guest reads or clears its pending or active state,
//!    disables it or routes it elsewhere, that vCPU exits and is not entered until the access is made.
//! 4. **No end of interrupt is lost.** Active interrupts keep a list register as long as there are
//!    enough. When there are not, those that stay outside have the lowest priorities; the guest
//!    then runs with `ICH_HCR_EL2.TDIR` (a write of `ICC_DIR_EL1` traps: [`Vgic::deactivate`]) and
//!    `sync` reads `ICH_HCR_EL2.EOIcount`: with `EOImode` = 0 interrupts end in order of priority,
//!    so each count means the highest-priority active interrupt without a list register.
//! 5. **Something pending can always be delivered.** If any interrupt is pending, the one with the
//!    highest priority has a list register (given two list registers; real cores have four or more).
//! 6. **The list register of the hardware-mapped interrupt is pending or active, never both**, as HW=1
//!    asks. The physical interrupt is active in the core that its vCPU is loaded on while the virtual one
//!    is pending by its line, or active after that; and inactive, so that it fires when the line rises,
//!    while the virtual one is neither pending nor active. That keeps its list register while it is
//!    active, so that the guest itself deactivates both.
//! 7. **An interrupt that is pending by its line follows the line**, whether it is in a list register or not. Only
//!    one that is pending in a list register of a guest that runs waits for that guest's next exit.
//!
//! Sources: Arm GIC architecture specification (IHI 0069), chapters 4, 6, 9 (register descriptions
//! in 9.5 and 12); the list register rules are in `ICH_LR<n>_EL2` and `ICH_HCR_EL2`.

mod access;
mod bank;
mod distributor;
mod effects;
mod hardware;
pub mod list_register;
mod lists;
mod live;
mod redistributor;
mod registers;
mod sgi;
mod vcpu_set;

#[cfg(test)]
mod tests;

pub use access::Frame;
use bank::Bank;
pub use effects::Effects;
use hardware::Hardware;
use list_register::{HCR_EN, MAX_LIST_REGISTERS};
pub use vcpu_set::VcpuSet;

/// Most vCPUs that a VM can have.
pub const MAX_VCPUS: usize = 8;
/// Shared peripheral interrupts: INTIDs 32 up to but not including 32 + `SPIS`.
pub const SPIS: usize = 64;
/// The EL1 virtual timer's PPI, the one interrupt that is mapped to a physical one.
pub const HARDWARE_INTID: u32 = 27;
/// Bytes of one vCPU's redistributor: the RD frame, then the SGI frame.
pub const REDISTRIBUTOR_SIZE: u64 = 0x2_0000;

/// Banks of 32 interrupts that concern a vCPU: its SGIs and PPIs, then the SPIs.
const BANKS: usize = 1 + SPIS / 32;
const HARDWARE_BIT: u32 = 1 << HARDWARE_INTID;
/// `GICD_CTLR.EnableGrp0` and `EnableGrp1`.
const CTLR_ENABLE_GROUPS: u32 = 0b11;

/// What belongs to one vCPU.
#[derive(Clone, Debug)]
struct Cpu {
    /// Something changed since the last flush.
    marked: bool,
    /// In its guest, as far as is known: entered, and not synced since.
    live: bool,
    /// Some call since the last flush has told EL2 to kick it.
    kicked: bool,
    /// List registers from this one on hold nothing.
    used: u8,
    /// List registers from this one on have not been written since they were empty.
    written: u8,
    /// More interrupts are ready than fit into list registers.
    overflow: bool,
    /// `ICH_HCR_EL2` for the next entry.
    hcr: u64,
    /// What the list registers hold; zero from `used` on.
    list: [u64; MAX_LIST_REGISTERS],
    /// SGIs and PPIs.
    private: Bank,
    /// Interrupts that this vCPU acknowledged and has not deactivated.
    active: [u32; BANKS],
    /// Interrupts with an edge since the last flush: when the guest has acknowledged one that was
    /// pending in a list register then, it is pending once more.
    again: [u32; BANKS],
    /// Interrupts that go to this vCPU: all private ones, SPIs by `GICD_IROUTER<n>`.
    routed: [u32; BANKS],
    /// `GICR_WAKER.ProcessorSleep`. It is shown to the guest and holds back no interrupt.
    asleep: bool,
    /// What else is known of [`HARDWARE_INTID`].
    hardware: Hardware,
}

impl Cpu {
    const fn new(index: usize) -> Self {
        let spis = if index == 0 { u32::MAX } else { 0 };
        let mut routed = [spis; BANKS];
        routed[0] = u32::MAX;
        Self {
            marked: true,
            live: false,
            kicked: false,
            used: 0,
            written: 0,
            overflow: false,
            hcr: HCR_EN,
            list: [0; MAX_LIST_REGISTERS],
            private: Bank::private(),
            active: [0; BANKS],
            again: [0; BANKS],
            routed,
            asleep: true,
            hardware: Hardware::NONE,
        }
    }
}

/// The virtual GICv3 of one VM.
#[derive(Clone, Debug)]
pub struct Vgic {
    cpus: [Cpu; MAX_VCPUS],
    vcpus: usize,
    spis: [Bank; BANKS - 1],
    /// SPIs that are active on any vCPU.
    spis_active: [u32; BANKS - 1],
    /// `GICD_IROUTER<n>` as Aff3.Aff2.Aff1.Aff0, one byte each.
    routes: [u32; SPIS],
    /// The group enables of `GICD_CTLR`.
    enabled_groups: u32,
    /// For each vCPU, those that must not be entered until the access is made that it waits with.
    waits_for: [VcpuSet; MAX_VCPUS],
    /// All of `waits_for`.
    held_out: VcpuSet,
}

impl Vgic {
    /// A controller after reset, for a VM of `vcpus` vCPUs.
    ///
    /// All interrupts are disabled, in Group 1, of priority 0; SPIs go to vCPU 0.
    ///
    /// # Panics
    /// If `vcpus` is 0 or more than [`MAX_VCPUS`].
    pub const fn new(vcpus: usize) -> Self {
        assert!(
            vcpus >= 1 && vcpus <= MAX_VCPUS,
            "a virtual GIC serves 1 to 8 vCPUs"
        );
        Self {
            cpus: [
                Cpu::new(0),
                Cpu::new(1),
                Cpu::new(2),
                Cpu::new(3),
                Cpu::new(4),
                Cpu::new(5),
                Cpu::new(6),
                Cpu::new(7),
            ],
            vcpus,
            spis: [Bank::shared(), Bank::shared()],
            spis_active: [0; BANKS - 1],
            routes: [0; SPIS],
            enabled_groups: 0,
            waits_for: [VcpuSet::EMPTY; MAX_VCPUS],
            held_out: VcpuSet::EMPTY,
        }
    }

    /// Number of vCPUs.
    pub const fn vcpus(&self) -> usize {
        self.vcpus
    }

    /// Sets the line of a level-sensitive interrupt, `vcpu`'s own if `intid` is below 32.
    ///
    /// An interrupt that the guest configured as edge-triggered becomes pending when the line rises.
    /// Does nothing for an INTID that does not exist or for [`HARDWARE_INTID`], whose line is
    /// physical.
    pub fn set_level(&mut self, vcpu: usize, intid: u32, high: bool) -> Effects {
        let Some((b, bit)) = locate(intid) else {
            return Effects::default();
        };
        if intid == HARDWARE_INTID || !self.bank_mut(vcpu, b).set_line(bit, high) {
            return Effects::default();
        }
        if high && self.bank(vcpu, b).edge & bit != 0 {
            return self.latch(vcpu, b, bit);
        }
        self.touched(vcpu, b, bit)
    }

    /// Makes an interrupt pending once, as an edge does; `vcpu`'s own if `intid` is below 32.
    ///
    /// Does nothing for an INTID that does not exist.
    pub fn set_pending(&mut self, vcpu: usize, intid: u32) -> Effects {
        let Some((b, bit)) = locate(intid) else {
            return Effects::default();
        };
        if intid == HARDWARE_INTID {
            return self.hardware_write_pending(vcpu, true);
        }
        self.latch(vcpu, b, bit)
    }

    /// A write of `ICC_DIR_EL1` by `vcpu` that trapped (`ICH_HCR_EL2.TDIR`): deactivates `intid`.
    ///
    /// No-op for an interrupt that is not active on `vcpu`: a guest with `EOImode` = 1 that deactivates
    /// an SPI elsewhere than where it acknowledged it is not heard.
    pub fn deactivate(&mut self, vcpu: usize, intid: u32) -> Effects {
        let Some((b, bit)) = locate(intid) else {
            return Effects::default();
        };
        if self.cpus[vcpu].active[b] & bit == 0 {
            return Effects::default();
        }
        self.set_active(vcpu, b, bit, false);
        self.cpus[vcpu].marked = true;
        let mut effects = Effects::default();
        if intid == HARDWARE_INTID {
            effects = self.hardware_deactivated(vcpu);
        }
        effects |= self.touched(vcpu, b, bit);
        effects
    }

    /// Whether `vcpu` has an interrupt that ends a WFI: pending, enabled, its group enabled in the
    /// distributor and in the CPU interface, and of a higher priority than the guest's mask.
    ///
    /// `vmcr` is the guest's `ICH_VMCR_EL2` (VPMR, VENG0, VENG1). The running priority is ignored:
    /// a vCPU that waits inside an interrupt handler may be woken for nothing, which the
    /// architecture allows.
    pub fn has_pending(&self, vcpu: usize, vmcr: u64) -> bool {
        self.has_ready(vcpu, 0, vmcr)
            || self.has_shared(vcpu) && (1..BANKS).any(|b| self.has_ready(vcpu, b, vmcr))
    }

    /// Whether an interrupt of bank `b` ends a WFI; see [`Vgic::has_pending`].
    #[inline(always)]
    fn has_ready(&self, vcpu: usize, b: usize, vmcr: u64) -> bool {
        let forwarded = self.forwarded(vcpu, b);
        if forwarded == 0 {
            return false;
        }
        let mask = vmcr >> 24 & 0xff;
        let bank = self.bank(vcpu, b);
        let groups = group_mask(bank.group, vmcr as u32 & CTLR_ENABLE_GROUPS);
        bits(forwarded & groups).any(|i| u64::from(bank.priority[i]) < mask)
    }

    /// Whether any shared interrupt is pending, or active on `vcpu`.
    #[inline(always)]
    fn has_shared(&self, vcpu: usize) -> bool {
        let active = &self.cpus[vcpu].active[1..];
        let banks = self.spis.iter().zip(active);
        banks.fold(0, |any, (bank, active)| any | bank.pending() | active) != 0
    }

    /// The bank `b` of 32 interrupts as `vcpu` sees it.
    fn bank(&self, vcpu: usize, b: usize) -> &Bank {
        match b {
            0 => &self.cpus[vcpu].private,
            _ => &self.spis[b - 1],
        }
    }

    fn bank_mut(&mut self, vcpu: usize, b: usize) -> &mut Bank {
        match b {
            0 => &mut self.cpus[vcpu].private,
            _ => &mut self.spis[b - 1],
        }
    }

    /// Interrupts of bank `b` that are active on some vCPU that shares it with `vcpu`.
    fn active_anywhere(&self, vcpu: usize, b: usize) -> u32 {
        match b {
            0 => self.cpus[vcpu].active[0],
            _ => self.spis_active[b - 1],
        }
    }

    /// Sets or clears the active state on `vcpu` of the interrupts `mask` of bank `b`.
    #[inline(always)]
    fn set_active(&mut self, vcpu: usize, b: usize, mask: u32, active: bool) {
        let own = &mut self.cpus[vcpu].active[b];
        *own = if active { *own | mask } else { *own & !mask };
        if b > 0 {
            let any = self.cpus.iter().fold(0, |any, cpu| any | cpu.active[b]);
            self.spis_active[b - 1] = any;
        }
    }

    /// Interrupts of bank `b` that are pending, and that the distributor lets through to a CPU.
    #[inline(always)]
    fn pending_enabled(&self, vcpu: usize, b: usize) -> u32 {
        let bank = self.bank(vcpu, b);
        let pending = bank.pending();
        if pending == 0 {
            return 0;
        }
        pending & bank.enabled & group_mask(bank.group, self.enabled_groups)
    }

    /// Interrupts of bank `b` that `vcpu` could acknowledge next.
    #[inline(always)]
    fn forwarded(&self, vcpu: usize, b: usize) -> u32 {
        let pending = self.pending_enabled(vcpu, b);
        if pending == 0 {
            return 0;
        }
        pending & self.cpus[vcpu].routed[b] & !self.active_anywhere(vcpu, b)
    }

    /// Makes the interrupts `mask` of bank `b` pending as an edge does.
    #[inline(always)]
    fn latch(&mut self, vcpu: usize, b: usize, mask: u32) -> Effects {
        self.bank_mut(vcpu, b).latch |= mask;
        if b == 0 {
            self.cpus[vcpu].again[0] |= mask;
        } else {
            for cpu in &mut self.cpus {
                cpu.again[b] |= mask;
            }
        }
        self.touched(vcpu, b, mask)
    }

    /// The interrupts `mask` of bank `b` changed: marks whom that concerns, says whom to wake or kick.
    #[inline(always)]
    fn touched(&mut self, vcpu: usize, b: usize, mask: u32) -> Effects {
        match b {
            0 => self.mark(vcpu, 0, mask),
            _ => self.touched_shared(b, mask),
        }
    }

    #[inline(never)]
    fn touched_shared(&mut self, b: usize, mask: u32) -> Effects {
        let mut effects = Effects::default();
        for v in 0..self.vcpus {
            effects |= self.mark(v, b, mask);
        }
        effects
    }

    #[inline(always)]
    fn mark(&mut self, vcpu: usize, b: usize, mask: u32) -> Effects {
        let cpu = &mut self.cpus[vcpu];
        if (cpu.routed[b] | cpu.active[b]) & mask == 0 {
            return Effects::default();
        }
        cpu.marked = true;
        let may_kick = cpu.live && !cpu.kicked;
        let forwarded = self.forwarded(vcpu, b) & mask != 0;
        let kick = may_kick && self.kick(vcpu, b, mask, forwarded);
        Effects {
            wake: VcpuSet::only_if(vcpu, forwarded),
            kick: VcpuSet::only_if(vcpu, kick),
            ..Effects::default()
        }
    }
}

/// Bank and bit of an INTID, if it exists.
fn locate(intid: u32) -> Option<(usize, u32)> {
    let b = (intid / 32) as usize;
    (b < BANKS).then_some((b, 1 << (intid % 32)))
}

/// Interrupts whose group is enabled; `enables` is laid out as in `GICD_CTLR` and `ICH_VMCR_EL2`.
fn group_mask(group: u32, enables: u32) -> u32 {
    let group1 = 0u32.wrapping_sub(enables >> 1 & 1);
    let group0 = 0u32.wrapping_sub(enables & 1);
    group & group1 | !group & group0
}

/// The positions of the bits that are set, from the lowest on.
fn bits(mut mask: u32) -> impl Iterator<Item = usize> {
    core::iter::from_fn(move || {
        let i = mask.trailing_zeros() as usize;
        mask &= mask.wrapping_sub(1);
        (i < 32).then_some(i)
    })
}
