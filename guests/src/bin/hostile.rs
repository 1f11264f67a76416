//! The hostile guest: does all that a guest can do to stop its hypervisor or to reach beyond itself,
//! survives it, and says what came of it.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
trapcast_guests::entry!(guest::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("hostile boots on the bare board: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}

#[cfg(target_os = "none")]
mod guest {
    //! What runs on the board.

    use trapcast_guests::board::entry::fail;
    use trapcast_guests::board::fdt::Machine;
    use trapcast_guests::board::mmu;
    use trapcast_guests::hostile::operations::{Hostile, reset_once};
    use trapcast_guests::hostile::regime::USER_SIZE;
    use trapcast_guests::hostile::settings::Settings;
    use trapcast_guests::hostile::values::{Map, Values};
    use trapcast_guests::println;

    /// Reads the bootargs and follows them.
    pub fn main(machine: &Machine) {
        let settings = match Settings::parse(machine.bootargs) {
            Ok(settings) => settings,
            Err(error) => fail(&error),
        };
        let Settings {
            seed,
            operations,
            kinds,
        } = settings;
        println!("start seed={seed} operations={operations} kinds={kinds}");
        let user = machine.free.0.next_multiple_of(USER_SIZE);
        if user + USER_SIZE > machine.free.1 {
            fail(&"there is no room for EL0: give the VM 16M of memory");
        }
        let map = Map {
            ram: machine.ram,
            image: mmu::image(),
            vcpus: 1,
        };
        // SAFETY: from here on nothing but the hostile guest uses this machine; the FDT, which it
        // may overwrite, has been read.
        let mut hostile = unsafe { Hostile::new(seed, kinds, Values::new(seed, map), user) };
        for _ in 0..operations {
            hostile.operate();
        }
        hostile.finish();
        reset_once(kinds, &hostile.tally);
        println!("done seed={seed} {}", hostile.tally);
    }
}
