//! The hostile guest: does all that a guest can do to stop its hypervisor or to reach beyond itself,
//! survives it, and says what came of it.

#![no_std]
#![no_main]

use trapcast_guests::board::entry::fail;
use trapcast_guests::board::fdt::Machine;
use trapcast_guests::board::{mmu, psci};
use trapcast_guests::hostile::operations::{Hostile, resets};
use trapcast_guests::hostile::regime::{self, USER_SIZE};
use trapcast_guests::hostile::settings::Settings;
use trapcast_guests::hostile::several::{Common, Others};
use trapcast_guests::hostile::values::Map;
use trapcast_guests::hostile::{Kind, interrupts};
use trapcast_guests::{println, read_sysreg};

trapcast_guests::entry!(main);

/// Operations of vCPU 0 from one look at the other vCPUs to the next.
const OPERATIONS_PER_LOOK: u64 = 256;

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
        vcpus,
    } = settings;
    println!("start seed={seed} operations={operations} vcpus={vcpus} kinds={kinds}");
    let user = machine.free.0.next_multiple_of(USER_SIZE);
    if user + USER_SIZE > machine.free.1 {
        fail(&"there is no room for EL0: give the VM 16M of memory");
    }
    let common = Common {
        seed,
        kinds,
        map: Map {
            ram: machine.ram,
            image: mmu::image(),
            vcpus,
        },
        user,
    };
    run(common, operations);
}

/// Shares the operations out, does vCPU 0's part of them, and says what they came to. Returns where
/// the machine is to be powered off.
fn run(common: Common, operations: u64) {
    let Common {
        seed,
        mut kinds,
        map,
        user,
    } = common;
    let begin = read_sysreg!("cntvct_el0");
    let each = operations / map.vcpus;
    if map.vcpus > 1 {
        kinds = kinds.without(Kind::User);
    }
    // SAFETY: from here on nothing but the hostile guest uses this machine; the FDT, which it
    // may overwrite, has been read.
    let mut hostile = unsafe {
        regime::off();
        regime::make_tables(user);
        Hostile::new(0, seed, kinds, map, user)
    };
    let mut others = Others::new(common, each);
    for done in 0..operations - each * (map.vcpus - 1) {
        if done.is_multiple_of(OPERATIONS_PER_LOOK) {
            others.go_on(&mut hostile);
        }
        hostile.operate();
    }
    let mut tally = others.finish(&mut hostile);
    hostile.settle();
    interrupts::enable_console();
    tally += hostile.tally;
    let resets = resets(kinds, begin);
    let end = if resets { "reset" } else { "done" };
    println!("{end} seed={seed} {tally}");
    others.run_wild(&mut hostile);
    hostile.settle();
    if resets {
        psci::call(psci::SYSTEM_RESET);
    }
}
