//! What a machine must do for an AArch32 guest besides its registers: exceptions that it injects,
//! instructions that it emulates.

use core::arch::global_asm;
use core::sync::atomic::Ordering;

use super::{
    debug,
    exceptions::{self, DATA_ABORT, PREFETCH_ABORT, UNDEFINED},
    gic, mmu, psci,
};
use crate::pattern::{Mismatch, Name};
use crate::read_coprocessor;

/// GICD_IPRIORITYR8, of SPIs that no device has; five bits of each priority are kept.
const PRIORITIES: u32 = 0x0800_0420;
const PRIORITY_BITS: u32 = 0xf8f8_f8f8;

/// FS with short descriptors: a synchronous external abort.
const FS_EXTERNAL_ABORT: u64 = 0b0_1000;
const FS: u64 = 1 << 10 | 0xf;
/// DFSR.WnR: the access was a write.
const WNR: u64 = 1 << 11;

global_asm!(
    r#"
    .fpu    neon-vfpv4
    .arch_extension sec
    .section .text.checks, "ax"
    .global provoke_undefined, provoke_load, provoke_store, provoke_prefetch_abort, provoked
    .global through_lr, call_secure_monitor, skip_in_it_block, read_mvfr0
    provoke_undefined:                  @ PMCR, which a guest without a PMU has not
        mrc     p15, 0, r0, c9, c12, 0
        bx      lr
    provoke_load:                       @ r0: the address
        ldr     r0, [r0]
        bx      lr
    provoke_store:                      @ r0: the address
        str     r0, [r0]
        bx      lr
    provoke_prefetch_abort:             @ r0: the address
        bx      r0
    provoked:
        bx      lr

    through_lr:                         @ r0: a device's register, r1: what to write. Returns what is there.
        mov     r3, lr
        mov     lr, r1
        str     lr, [r0]
        mov     lr, #0
        ldr     lr, [r0]
        mov     r0, lr
        bx      r3

    call_secure_monitor:                @ r0: the function
        smc     #0
        bx      lr

    read_mvfr0:
        vmrs    r0, mvfr0
        bx      lr

    .thumb
    .thumb_func
    skip_in_it_block:                   @ Returns 1: one of two instructions, the emulated one, is executed.
        movs    r0, #0
        movs    r1, #0
        cmp     r0, r0
        ite     eq
        mrceq   p15, 0, r1, c0, c1, 1   @ ID_PFR1, which is not zero
        movne   r0, #2
        cmp     r1, #0
        it      ne
        addne   r0, #1
        bx      lr
    .arm
    "#
);

unsafe extern "C" {
    safe fn provoke_undefined();
    fn provoke_load(address: u32);
    fn provoke_store(address: u32);
    fn provoke_prefetch_abort(address: u32);
    static provoked: u8;
    fn through_lr(register: u32, value: u32) -> u32;
    safe fn call_secure_monitor(function: u32) -> u32;
    safe fn skip_in_it_block() -> u32;
    safe fn read_mvfr0() -> u32;
}

/// Checks everything once, and reports what is not as it must be.
pub fn run(mut report: impl FnMut(&Mismatch)) {
    let mut compare = |name, expected: u64, found: u64| {
        if let Some(mismatch) = Mismatch::of(Name::Other(name), expected.into(), found.into()) {
            report(&mismatch);
        }
    };
    let (kind, place) = provoke(|| provoke_undefined());
    compare("UNDEF", UNDEFINED.into(), kind.into());
    let expected = provoke_undefined as *const () as usize;
    compare("LR_und", expected as u64, place.into());

    // SAFETY: nothing is there; the handler goes on behind it.
    let load = || provoke(|| unsafe { provoke_load(mmu::NOWHERE) });
    // SAFETY: as above.
    let store = || provoke(|| unsafe { provoke_store(mmu::NOWHERE) });
    for (access, wnr) in [(&load as &dyn Fn() -> (u32, u32), 0), (&store, WNR)] {
        let (kind, _) = access();
        compare("data-abort", DATA_ABORT.into(), kind.into());
        let dfsr = read_coprocessor!("p15, 0, {}, c5, c0, 0");
        compare("DFSR", FS_EXTERNAL_ABORT | wnr, dfsr & (FS | WNR));
        let dfar = read_coprocessor!("p15, 0, {}, c6, c0, 0");
        compare("DFAR", mmu::NOWHERE.into(), dfar);
    }

    // SAFETY: as above.
    let (kind, place) = provoke(|| unsafe { provoke_prefetch_abort(mmu::NOWHERE) });
    compare("prefetch-abort", PREFETCH_ABORT.into(), kind.into());
    compare("LR_abt", mmu::NOWHERE.into(), place.into());
    let ifsr = read_coprocessor!("p15, 0, {}, c5, c0, 1");
    compare("IFSR", FS_EXTERNAL_ABORT, ifsr & FS);
    let ifar = read_coprocessor!("p15, 0, {}, c6, c0, 2");
    compare("IFAR", mmu::NOWHERE.into(), ifar);

    let value = 0x1020_3840 & PRIORITY_BITS;
    // SAFETY: priorities of interrupts that are not enabled.
    let found = unsafe { through_lr(PRIORITIES, value) };
    compare("LR-to-device", value.into(), found.into());

    compare("IT-block", 1, skip_in_it_block().into());
    compare(
        "SMC",
        0xffff_ffff,
        call_secure_monitor(psci::VERSION).into(),
    );
    compare("HVC64", 0xffff_ffff, psci::call(psci::VERSION | 1 << 30));
    compare("PSCI_VERSION", 0x1_0001, psci::call(psci::VERSION));
    let gic = read_coprocessor!("p15, 0, {}, c0, c1, 1") >> 28;
    compare("ID_PFR1.GIC", 1, gic);
    compare("MVFR0.SIMDReg", 2, (read_mvfr0() & 0xf).into());
    compare("ACTLR", 0, read_coprocessor!("p15, 0, {}, c1, c0, 1"));

    debug::run(|action| provoke(action), &mut compare);

    let before = gic::SGIS_HANDLED.load(Ordering::Relaxed);
    gic::send_sgi(0);
    let handled = gic::SGIS_HANDLED.load(Ordering::Relaxed) - before;
    compare("SGI", 1, handled);
}

/// Runs what ends by an exception, and returns its kind and its place.
fn provoke(action: impl FnOnce()) -> (u32, u32) {
    exceptions::expect((&raw const provoked).expose_provenance() as u32);
    action();
    exceptions::came()
}
