//! Checks both timers of EL1 and their interrupts: see `trapcast_guests::timers`.

#![no_std]
#![no_main]

trapcast_guests::entry!(trapcast_guests::timers::main);
