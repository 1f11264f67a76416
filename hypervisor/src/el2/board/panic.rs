//! The end, bad or good: panics with what and where, refusals with one sentence, power-off.

use ::core::{fmt, panic::PanicInfo};
use trapcast_trace::report::State;

use crate::el2::board::{
    console::{self, say},
    report,
};
use crate::mrs;

/// Powers the machine off.
pub fn power_off() -> ! {
    console::flush();
    // QEMU's own PSCI is called by SMC when EL2 is the guest's.
    let _ = smccc::psci::system_off::<smccc::Smc>();
    loop {
        crate::el2::arch::wait::spin_loop();
    }
}

/// Refuses to go on: says why in one sentence and powers off.
pub fn fail(reason: fmt::Arguments) -> ! {
    // What is said now has to find room.
    console::flush();
    say!("error: {reason}");
    report::finish(State::Refused, mrs!("cntpct_el0"));
    power_off()
}

#[panic_handler]
fn panic(info: &PanicInfo) -> ! {
    console::force_unlock();
    console::flush();
    match info.location() {
        Some(location) => say!("panic: {} at {location}", info.message()),
        None => say!("panic: {}", info.message()),
    }
    say_registers();
    report::finish(State::Failed, mrs!("cntpct_el0"));
    power_off()
}

/// Prints what the last exception left, a guest's exit if EL2 had none of its own, and what guests
/// ran under.
fn say_registers() {
    say!(
        "  ESR_EL2 {:#018x}  ELR_EL2 {:#018x}  FAR_EL2 {:#018x}",
        mrs!("esr_el2"),
        mrs!("elr_el2"),
        mrs!("far_el2")
    );
    say!(
        "  SPSR_EL2 {:#x}  HCR_EL2 {:#x}  VTTBR_EL2 {:#x}  CPTR_EL2 {:#x}",
        mrs!("spsr_el2"),
        mrs!("hcr_el2"),
        mrs!("vttbr_el2"),
        mrs!("cptr_el2")
    );
}

/// An exception that EL2 does not expect: from its own code, or of a kind that no guest can cause.
///
/// `saved` points to x30, SP, then x18 to x29 as the vector found them; x0 and x1 are lost.
#[unsafe(no_mangle)]
extern "C" fn el2_unexpected_exception(number: u64, saved: &[u64; 14]) -> ! {
    const KINDS: [&str; 4] = [
        "synchronous exception",
        "interrupt",
        "fast interrupt",
        "SError",
    ];
    const FROM: [&str; 4] = [
        "EL2 on SP_EL0",
        "EL2",
        "a guest",
        "a guest in AArch32 state",
    ];
    console::force_unlock();
    console::flush();
    let number = number as usize & 0xf;
    say!("panic: {} from {}", KINDS[number & 3], FROM[number >> 2]);
    say_registers();
    say!("  SP {:#018x}", saved[1]);
    for (pair, values) in saved[2..].chunks(2).enumerate() {
        let n = 18 + 2 * pair;
        say!("  x{n} {:#018x}  x{} {:#018x}", values[0], n + 1, values[1]);
    }
    say!("  x30 {:#018x}", saved[0]);
    report::finish(State::Failed, mrs!("cntpct_el0"));
    power_off()
}
