//! The guest `features32`: checks that every field of every identification register of AArch32 is true, by a use
//! of what it shows.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod run;
#[cfg(all(target_os = "none", target_arch = "arm"))]
mod table;
#[cfg(all(target_os = "none", target_arch = "arm"))]
mod uses;

#[cfg(all(target_os = "none", target_arch = "arm"))]
trapcast_guests::entry!(guest::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("features32 boots on the bare board: build it for armv7a-none-eabi");
    std::process::exit(2);
}

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod guest {
    //! What runs on the board.

    use trapcast_guests::board::fdt::Machine;
    use trapcast_guests::identification::Tally;
    use trapcast_guests::println;

    use crate::table::REGISTERS;
    use crate::uses;

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
}
