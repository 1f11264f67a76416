//! The guest `features32`: checks that every field of every identification register of AArch32 is true, by a use
//! of what it shows.

#![no_std]
#![no_main]

mod run;
mod table;
mod uses;

use trapcast_guests::board::fdt::Machine;
use trapcast_guests::identification::Tally;
use trapcast_guests::println;

use table::REGISTERS;

trapcast_guests::entry!(main);

/// Uses all of it; without a hypervisor, where its bootargs say `bare`.
pub fn main(machine: &Machine) {
    let bare = machine.bootargs == "bare";
    uses::open();
    let mut tally = Tally::default();
    for register in REGISTERS {
        tally.register(register, bare, &mut |what| println!("MISMATCH {what}"));
    }
    let Tally {
        shown,
        untold,
        mismatches,
    } = tally;
    println!("done shown={shown} untold={untold} mismatches={mismatches}");
}
