//! Checks both timers of EL1 and their interrupts: see `trapcast_guests::timers`.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
trapcast_guests::entry!(trapcast_guests::timers::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("timers boots on the bare board: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}
