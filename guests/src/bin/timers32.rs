//! Checks both timers of EL1 and their interrupts in AArch32 state: see `trapcast_guests::timers`.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
trapcast_guests::entry!(trapcast_guests::timers::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("timers32 boots on the bare board: build it for armv7a-none-eabi");
    std::process::exit(2);
}
