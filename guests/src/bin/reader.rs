//! The guest `reader`: reads what is typed to it, slowly, and says what it has read.

#![no_std]
#![no_main]

use core::hint::spin_loop;

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::{console, timer};
use trapcast_guests::bootargs::Reader as Settings;
use trapcast_guests::println;

trapcast_guests::entry!(main);

/// After so many bytes it does something else for a while.
const BYTES_AT_ONCE: u64 = 512;
/// For so long.
const PAUSE_MICROSECONDS: u64 = 20_000;

/// Reads the bootargs and follows them.
pub fn main(machine: &Machine) {
    let Settings { bytes, fifos } = match Settings::parse(machine.bootargs) {
        Ok(settings) => settings,
        Err(error) => fail(&error),
    };
    console::set_fifos(fifos);
    println!("start bytes={bytes} fifos={fifos}");
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for read in 1..=bytes {
        let byte = loop {
            if let Some(byte) = console::receive() {
                break byte;
            }
            spin_loop();
        };
        // FNV-1a.
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        if read.is_multiple_of(BYTES_AT_ONCE) {
            timer::wait_for(PAUSE_MICROSECONDS);
        }
    }
    println!("done bytes={bytes} fnv={hash:#x}");
}
