//! Between the banks and the list registers: `flush` before an entry, `sync` after an exit.

use super::list_register::{
    self as lr, ACTIVE, EOI, HCR_EN, HCR_LRENPIE, HCR_NPIE, HCR_TDIR, HCR_UIE, MAX_LIST_REGISTERS,
    PENDING,
};
use super::{BANKS, Effects, HARDWARE_BIT, HARDWARE_INTID, Vgic, bits, locate};

/// Interrupts of a vCPU that belong into list registers.
struct Ready {
    /// Pending and not active.
    pending: [u32; BANKS],
    active: [u32; BANKS],
}

/// How many interrupts `maps` name.
fn count(maps: [u32; BANKS]) -> usize {
    maps.iter().map(|map| map.count_ones() as usize).sum()
}

/// The smallest keys of those offered, at most `limit`, in ascending order.
struct Smallest {
    keys: [u32; MAX_LIST_REGISTERS],
    len: usize,
    limit: usize,
}

impl Smallest {
    fn offer(&mut self, key: u32) {
        if self.len == self.limit {
            if self.limit == 0 || self.keys[self.len - 1] <= key {
                return;
            }
            self.len -= 1;
        }
        let mut at = self.len;
        while at > 0 && self.keys[at - 1] > key {
            self.keys[at] = self.keys[at - 1];
            at -= 1;
        }
        self.keys[at] = key;
        self.len += 1;
    }
}

impl Vgic {
    /// Whether [`Vgic::flush`] has to be called before `vcpu` is entered.
    #[inline(always)]
    pub fn needs_flush(&self, vcpu: usize) -> bool {
        self.cpus[vcpu].marked
    }

    /// How many list registers, from 0 on, hold something for `vcpu`: as many have to be read after
    /// an exit and passed to [`Vgic::sync`]; none if it is 0.
    #[inline(always)]
    pub fn used(&self, vcpu: usize) -> usize {
        usize::from(self.cpus[vcpu].used)
    }

    /// How many list registers EL2 has to look at after an exit: [`Vgic::used`], and one at least if it has
    /// to look at the timer. It then calls [`Vgic::sync`].
    #[inline(always)]
    pub fn looked_at(&self, vcpu: usize) -> usize {
        match self.used(vcpu) {
            0 => usize::from(self.hardware_is_watched(vcpu)),
            used => used,
        }
    }

    /// What the list registers have to hold while `vcpu` is loaded; 0 from [`Vgic::used`] on.
    #[inline(always)]
    pub fn list(&self, vcpu: usize) -> &[u64; MAX_LIST_REGISTERS] {
        &self.cpus[vcpu].list
    }

    /// What `ICH_HCR_EL2` has to hold while `vcpu` is loaded (`EOIcount` 0).
    #[inline(always)]
    pub fn hcr(&self, vcpu: usize) -> u64 {
        self.cpus[vcpu].hcr
    }

    /// Works out `vcpu`'s list registers; `implemented` is their number (`ICH_VTR_EL2.ListRegs` + 1).
    ///
    /// Returns how many of [`Vgic::list`], from 0 on, have to be written: those in use, and those that
    /// were and are to be emptied. [`Vgic::hcr`] has to be written as well. `None` if `vcpu` must not
    /// be entered yet, as an access waits that another vCPU makes (see [`Vgic::read`]): EL2 releases
    /// the lock and tries again.
    #[inline(always)]
    pub fn flush(&mut self, vcpu: usize, implemented: usize) -> Option<usize> {
        self.left(vcpu);
        if self.held_out.contains(vcpu) {
            return None;
        }
        let implemented = implemented.min(MAX_LIST_REGISTERS);
        let all = self.list_all(vcpu, implemented);
        let (used, hcr) = match all {
            Some(used) => (used, HCR_EN),
            None => (implemented, self.list_most_urgent(vcpu, implemented)),
        };
        let cpu = &mut self.cpus[vcpu];
        let before = usize::from(cpu.written);
        for slot in cpu.list.iter_mut().take(before).skip(used) {
            *slot = 0;
        }
        cpu.used = used as u8;
        cpu.written = used as u8;
        cpu.hcr = hcr;
        cpu.overflow = all.is_none();
        cpu.marked = false;
        cpu.kicked = false;
        cpu.again = [0; BANKS];
        Some(used.max(before))
    }

    /// Takes over what the guest did: `list_register` reads `ICH_LR<n>_EL2` after the exit, for `n`
    /// below [`Vgic::used`], and `hcr` reads `ICH_HCR_EL2`.
    ///
    /// That may concern other vCPUs: an SPI may go to another one after its deactivation.
    #[inline]
    pub fn sync(
        &mut self,
        vcpu: usize,
        list_register: impl Fn(usize) -> u64,
        hcr: impl Fn() -> u64,
    ) -> Effects {
        self.left(vcpu);
        let used = self.used(vcpu);
        if used == 0 {
            return Effects::default();
        }
        let mut effects = self.sync_one(vcpu, 0, list_register(0));
        if used > 1 {
            effects |= self.sync_others(vcpu, used, list_register);
        }
        if self.cpus[vcpu].overflow {
            let ended = lr::eoi_count(hcr());
            if ended != 0 {
                effects |= self.end_unlisted(vcpu, ended);
            }
        }
        effects
    }

    /// The list registers behind the first, which is the one that is in use most often.
    #[inline(never)]
    fn sync_others(
        &mut self,
        vcpu: usize,
        used: usize,
        list_register: impl Fn(usize) -> u64,
    ) -> Effects {
        let mut effects = Effects::default();
        for i in 1..used {
            effects |= self.sync_one(vcpu, i, list_register(i));
        }
        effects
    }

    #[inline(always)]
    fn sync_one(&mut self, vcpu: usize, i: usize, new: u64) -> Effects {
        let old = self.cpus[vcpu].list[i];
        // 0: emptied by an earlier sync; the hardware's has an identity left, but no state.
        if new == old || old == 0 {
            return Effects::default();
        }
        self.fold(vcpu, i, old, new)
    }

    fn ready(&self, vcpu: usize) -> Ready {
        Ready {
            pending: core::array::from_fn(|b| self.forwarded(vcpu, b)),
            active: self.cpus[vcpu].active,
        }
    }

    /// Lists everything that is ready, if it fits, and returns how many list registers that takes.
    ///
    /// No order is needed then: the hardware picks by priority.
    #[inline(always)]
    fn list_all(&mut self, vcpu: usize, implemented: usize) -> Option<usize> {
        let used = self.list_bank(vcpu, 0, 0, implemented)?;
        if self.has_shared(vcpu) {
            return self.list_shared(vcpu, used, implemented);
        }
        Some(used)
    }

    #[inline(never)]
    fn list_shared(&mut self, vcpu: usize, used: usize, implemented: usize) -> Option<usize> {
        (1..BANKS).try_fold(used, |used, b| self.list_bank(vcpu, b, used, implemented))
    }

    #[inline(always)]
    fn list_bank(
        &mut self,
        vcpu: usize,
        b: usize,
        mut used: usize,
        implemented: usize,
    ) -> Option<usize> {
        for i in bits(self.forwarded(vcpu, b) | self.cpus[vcpu].active[b]) {
            if used == implemented {
                return None;
            }
            self.cpus[vcpu].list[used] = self.value(vcpu, b, i);
            used += 1;
        }
        Some(used)
    }

    /// Fills all list registers, for more interrupts are ready than fit, and returns `ICH_HCR_EL2`.
    ///
    /// First the mapped interrupt if it is active, then the most urgent of the pending ones, then
    /// the active ones and then the other pending ones by priority.
    #[cold]
    fn list_most_urgent(&mut self, vcpu: usize, implemented: usize) -> u64 {
        let ready = self.ready(vcpu);
        let chosen = self.most_urgent(vcpu, &ready, implemented);
        let mut listed_active = 0;
        for (slot, key) in chosen.keys[..implemented].iter().enumerate() {
            let intid = (key & 0xff) as usize;
            let mut value = self.value(vcpu, intid / 32, intid % 32);
            if value & (ACTIVE | PENDING) == ACTIVE | PENDING {
                // Once ended it would be pending ahead of more urgent ones that wait outside.
                value = value & !PENDING | EOI;
            }
            listed_active += usize::from(value & ACTIVE != 0);
            self.cpus[vcpu].list[slot] = value;
        }
        let listed_pending = implemented - listed_active;
        let pending_waits = count(ready.pending) > listed_pending;
        let active_waits = count(ready.active) > listed_active;
        maintenance(
            pending_waits && listed_pending > 0,
            active_waits,
            implemented,
        )
    }

    /// The `limit` most urgent of the interrupts that are ready, as keys with the INTID below.
    fn most_urgent(&self, vcpu: usize, ready: &Ready, limit: usize) -> Smallest {
        let ranks = |maps: [u32; BANKS]| {
            (0..BANKS).flat_map(move |b| {
                bits(maps[b]).map(move |i| {
                    u32::from(self.bank(vcpu, b).priority[i]) << 8 | (b * 32 + i) as u32
                })
            })
        };
        let first_pending = ranks(ready.pending).min();
        let mut chosen = Smallest {
            keys: [0; MAX_LIST_REGISTERS],
            len: 0,
            limit,
        };
        for key in ranks(ready.active) {
            let class = if key & 0xff == HARDWARE_INTID { 0 } else { 2 };
            chosen.offer(class << 16 | key);
        }
        for key in ranks(ready.pending) {
            let class = if Some(key) == first_pending { 1 } else { 3 };
            chosen.offer(class << 16 | key);
        }
        chosen
    }

    /// The list register of an interrupt that is pending or active.
    #[inline(always)]
    fn value(&self, vcpu: usize, b: usize, i: usize) -> u64 {
        let bank = self.bank(vcpu, b);
        let bit = 1 << i;
        let intid = b * 32 + i;
        let identity = lr::identity(intid, bank.priority[i], bank.group & bit != 0);
        let active = self.cpus[vcpu].active[b] & bit != 0;
        if b == 0 && bit == HARDWARE_BIT {
            if !active {
                return identity | lr::mapped(intid) | PENDING;
            }
            // One that the guest made pending on top comes next: EL2 has to hear of the end, and deactivates
            // the physical interrupt itself.
            return identity
                | ACTIVE
                | match bank.latch & bit {
                    0 => lr::mapped(intid),
                    _ => EOI,
                };
        }
        // While the line is high, the guest's deactivation has to come back here, for the interrupt
        // is pending again. When a device lowers its line this list register is rewritten without
        // EOI, so that a driver that handles its device causes no maintenance interrupt.
        let eoi = if bank.asserted() & bit != 0 { EOI } else { 0 };
        if !active {
            return identity | eoi | PENDING;
        }
        let here = self.cpus[vcpu].routed[b] & bit != 0;
        identity
            | eoi
            | ACTIVE
            | match (bank.latch & bit != 0, here) {
                (false, _) => 0,
                // It goes to another vCPU next time.
                (true, false) => EOI,
                (true, true) if self.pending_enabled(vcpu, b) & bit != 0 => PENDING,
                (true, true) => 0,
            }
    }

    /// The guest moved list register `i` from `old` to `new`.
    #[inline(always)]
    fn fold(&mut self, vcpu: usize, i: usize, old: u64, new: u64) -> Effects {
        match locate(lr::intid(old)) {
            Some((0, bit)) => self.fold_into(vcpu, (0, bit), i, old, new),
            Some(shared) => self.fold_shared(vcpu, shared, i, old, new),
            None => Effects::default(),
        }
    }

    #[inline(never)]
    fn fold_shared(
        &mut self,
        vcpu: usize,
        place: (usize, u32),
        i: usize,
        old: u64,
        new: u64,
    ) -> Effects {
        self.fold_into(vcpu, place, i, old, new)
    }

    #[inline(always)]
    fn fold_into(
        &mut self,
        vcpu: usize,
        (b, bit): (usize, u32),
        i: usize,
        old: u64,
        new: u64,
    ) -> Effects {
        if old & PENDING != 0 && new & PENDING == 0 {
            let again = self.cpus[vcpu].again[b];
            self.bank_mut(vcpu, b).latch &= !bit | again;
        }
        self.set_active(vcpu, b, bit, new & ACTIVE != 0);
        let done = new & (ACTIVE | PENDING) == 0;
        let cpu = &mut self.cpus[vcpu];
        // An empty list register with EOI set keeps the maintenance interrupt up until rewritten.
        cpu.marked |= cpu.overflow || (done && new & EOI != 0);
        cpu.list[i] = if done { 0 } else { new };
        while cpu.used > 0 && cpu.list[usize::from(cpu.used) - 1] == 0 {
            cpu.used -= 1;
        }
        if done && self.bank(vcpu, b).pending() & bit != 0 {
            return self.touched(vcpu, b, bit);
        }
        Effects::default()
    }

    /// `count` interrupts ended that were active without a list register: in order of priority.
    #[cold]
    fn end_unlisted(&mut self, vcpu: usize, count: u64) -> Effects {
        let mut effects = Effects::default();
        for _ in 0..count {
            let Some((b, i)) = self.most_urgent_unlisted(vcpu) else {
                break;
            };
            self.set_active(vcpu, b, 1 << i, false);
            effects |= self.touched(vcpu, b, 1 << i);
        }
        self.cpus[vcpu].marked = true;
        effects
    }

    fn most_urgent_unlisted(&self, vcpu: usize) -> Option<(usize, usize)> {
        let mut unlisted = self.cpus[vcpu].active;
        for (b, bit) in self.listed(vcpu) {
            unlisted[b] &= !bit;
        }
        (0..BANKS)
            .flat_map(|b| bits(unlisted[b]).map(move |i| (b, i)))
            .min_by_key(|&(b, i)| (self.bank(vcpu, b).priority[i], b, i))
    }
}

/// `ICH_HCR_EL2` when interrupts wait for a list register.
///
/// Neither maintenance interrupt is up at the entry itself, or the guest would not run: `refill`
/// (pending ones wait) is only set if another pending one is in the list (NPIE), and the list is
/// full (UIE, which for a single list register would be up all the time).
fn maintenance(refill: bool, active_waits: bool, implemented: usize) -> u64 {
    let mut hcr = HCR_EN;
    if refill {
        hcr |= HCR_NPIE;
    }
    if active_waits {
        hcr |= HCR_LRENPIE | HCR_TDIR;
        if implemented > 1 {
            hcr |= HCR_UIE;
        }
    }
    hcr
}
