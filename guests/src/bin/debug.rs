//! The guest `debug`: uses every breakpoint and watchpoint and software step, at EL1 and EL0, and checks that
//! debug exceptions come where the architecture says and nowhere else, and that the registers keep what it
//! left in them, while others run.
//!
//! Source: Arm ARM, D2 "AArch64 Self-hosted Debug".

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
trapcast_guests::entry!(guest::main);

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("debug boots on the bare board: build it for aarch64-unknown-none-softfloat");
    std::process::exit(2);
}

#[cfg(target_os = "none")]
mod guest {
    //! What runs on the board.

    use core::arch::global_asm;
    use core::cell::UnsafeCell;
    use core::fmt;

    use trapcast_guests::board::debug::{
        AT_EL0, AT_EL1, ENABLE, KDE, LOADS, MDE, Numbers, Point, SS, STORES, WHOLE, breakpoint,
        control, os_lock, set_breakpoint, set_control, set_double_lock, set_os_lock,
        set_watchpoint, watchpoint,
    };
    use trapcast_guests::board::entry::fail;
    use trapcast_guests::board::fdt::Machine;
    use trapcast_guests::board::{exceptions, gic, psci, timer};
    use trapcast_guests::hostile::attempt::{EL0, EL1_MASKED, Outcome, attempt, install};
    use trapcast_guests::rng::SplitMix64;
    use trapcast_guests::rounds::Rounds;
    use trapcast_guests::{println, read_sysreg, write_sysreg};

    /// Mismatches that are printed; the others are only counted.
    const PRINTED_MISMATCHES: u64 = 8;

    /// PSTATE.D: debug exceptions from EL1 itself are masked. PSTATE.SS: the next instruction is to be stepped.
    const SPSR_D: u64 = 1 << 9;
    const SPSR_SS: u64 = 1 << 21;

    /// Classes of ESR_EL1, of exceptions from EL0; one more is from EL1.
    const SVC: u64 = 0x15;
    const BREAKPOINT: u64 = 0x30;
    const STEP: u64 = 0x32;
    const WATCHPOINT: u64 = 0x34;
    /// IFSC and DFSC of a debug exception.
    const DEBUG_STATUS: u64 = 0b10_0010;
    /// ISS.WnR of a watchpoint.
    const WNR: u64 = 1 << 6;

    /// DBGBCR.BT: a breakpoint on an address that is linked to one on a context; that one.
    const LINKED_ADDRESS: u64 = 1 << 20;
    const LINKED_CONTEXT: u64 = 3 << 20;
    /// DBGBCR.LBN.
    const LINK_SHIFT: u64 = 16;

    /// The words that watchpoints watch.
    const WORDS: usize = 8;
    /// What they hold.
    const VALUE: u32 = 0x5a5a_0000;

    /// Until when, by the physical counter, a VM's first life begins, and has to go on to be told from
    /// its second: in microseconds.
    const FIRST_LIFE: u64 = 50_000;

    #[repr(C, align(4096))]
    struct Words(UnsafeCell<[u32; WORDS]>);

    // SAFETY: one CPU.
    unsafe impl Sync for Words {}

    #[unsafe(link_section = ".user.bss")]
    static DATA: Words = Words(UnsafeCell::new([0; WORDS]));

    global_asm!(
        r#"
        .macro stubs level, end:vararg
        debug_target_\level:
            nop
            add     x1, x1, #1              // the target
            \end
        debug_store_\level:
            str     w1, [x0]
            \end
        debug_load_\level:
            ldr     w1, [x0]
            \end
        debug_walk_\level:                  // x0: memory, x3: a device's register
            add     x1, x1, #1
            ldr     w2, [x3]
            cbz     x1, 1f
            ldrh    w4, [x3]
            isb
            ldr     w5, [x0]
        1:  str     w5, [x0]
            add     x1, x1, #1
        .endm

        .section .text.debug, "ax"
        stubs el1, ret
            mrs     x4, id_aa64pfr0_el1
            mrs     x5, mdscr_el1
            mrs     x6, actlr_el1
            wfi                             // an interrupt is pending, and masked
            ldr     x7, [x8]                // memory that nobody has touched
            mov     w0, #0x84000000         // PSCI_VERSION
            hvc     #0
            add     x1, x1, #1
        debug_walk_end_el1:
            ret

        .section .user.text, "ax"
        stubs el0, svc #0
        debug_walk_end_el0:
            svc     #0
        .purgem stubs
        "#
    );

    unsafe extern "C" {
        static debug_target_el1: u8;
        static debug_target_el0: u8;
        static debug_store_el1: u8;
        static debug_store_el0: u8;
        static debug_load_el1: u8;
        static debug_load_el0: u8;
        static debug_walk_el1: u8;
        static debug_walk_el0: u8;
        static debug_walk_end_el1: u8;
        static debug_walk_end_el0: u8;
    }

    /// An Exception level, and the code that it runs.
    #[derive(Clone, Copy, Debug, Eq, PartialEq)]
    enum Level {
        El1,
        El0,
    }

    impl Level {
        const BOTH: [Self; 2] = [Self::El1, Self::El0];

        fn pick(self, el1: *const u8, el0: *const u8) -> u64 {
            let stub = match self {
                Self::El1 => el1,
                Self::El0 => el0,
            };
            stub.expose_provenance() as u64
        }

        fn target(self) -> u64 {
            self.pick(&raw const debug_target_el1, &raw const debug_target_el0)
        }

        fn access(self, is_store: bool) -> u64 {
            if is_store {
                self.pick(&raw const debug_store_el1, &raw const debug_store_el0)
            } else {
                self.pick(&raw const debug_load_el1, &raw const debug_load_el0)
            }
        }

        fn walk(self) -> (u64, u64) {
            (
                self.pick(&raw const debug_walk_el1, &raw const debug_walk_el0),
                self.pick(&raw const debug_walk_end_el1, &raw const debug_walk_end_el0),
            )
        }

        /// PMC or PAC.
        fn bit(self) -> u64 {
            match self {
                Self::El1 => AT_EL1,
                Self::El0 => AT_EL0,
            }
        }

        /// PSTATE, with debug exceptions from EL1 masked or not.
        fn spsr(self, masked: bool) -> u64 {
            match self {
                Self::El1 if masked => EL1_MASKED,
                Self::El1 => EL1_MASKED & !SPSR_D,
                Self::El0 => EL0,
            }
        }

        /// The class of a debug exception from here.
        fn class(self, class: u64) -> u64 {
            class + u64::from(self == Self::El1)
        }
    }

    /// Reads the bootargs and follows them.
    pub fn main(machine: &Machine) {
        let settings = match Rounds::parse(machine.bootargs) {
            Ok(settings) => settings,
            Err(error) => fail(&error),
        };
        let numbers = Numbers::read();
        let is_first = is_first_life();
        println!(
            "start seed={} breakpoints={} watchpoints={} contexts={} first-life={is_first}",
            settings.seed, numbers.breakpoints, numbers.watchpoints, numbers.contexts
        );
        let mut check = Check {
            numbers,
            rng: SplitMix64::stream(settings.seed, u64::from(is_first)),
            free: machine.free.0.next_multiple_of(1 << 16),
            free_end: machine.free.1,
            locks_work: true,
            taken: 0,
            mismatches: 0,
        };
        check.after_reset(is_first);
        check.try_locks();
        for round in 0..settings.rounds {
            check.keep();
            check.break_somewhere();
            check.watch_something();
            check.link();
            check.lock();
            if round.is_multiple_of(4) {
                check.walk();
            }
        }
        let Check {
            taken,
            mismatches,
            locks_work,
            ..
        } = check;
        if settings.reset && is_first {
            println!("first life taken={taken} mismatches={mismatches}");
            check.leave_everything_on();
        }
        println!("done taken={taken} locks={locks_work} mismatches={mismatches}");
    }

    /// Whether the VM has not been reset: nothing is left of one life in the next but the counter, which
    /// goes on.
    fn is_first_life() -> bool {
        read_sysreg!("cntpct_el0") < timer::ticks(FIRST_LIFE)
    }

    struct Check {
        numbers: Numbers,
        rng: SplitMix64,
        /// Memory that nobody has touched.
        free: u64,
        free_end: u64,
        /// Whether the locks keep debug exceptions away: the OS Lock does not under QEMU.
        locks_work: bool,
        taken: u64,
        mismatches: u64,
    }

    impl Check {
        /// A reset leaves nothing enabled, and nothing of who was here before.
        fn after_reset(&mut self, is_first: bool) {
            self.equal("MDSCR_EL1", 0, control());
            self.equal("OSLK", true, os_lock());
            if !is_first {
                for n in 0..self.numbers.breakpoints {
                    self.equal("breakpoint", Point::default(), breakpoint(n));
                }
                for n in 0..self.numbers.watchpoints {
                    self.equal("watchpoint", Point::default(), watchpoint(n));
                }
            }
            set_os_lock(false);
            self.equal("OSLK", false, os_lock());
        }

        /// Looks whether the OS Lock keeps a breakpoint away.
        fn try_locks(&mut self) {
            set_os_lock(true);
            self.arm_target(0, Level::El0, ENABLE | WHOLE | AT_EL0, MDE);
            let outcome = self.attempt(Level::El0, Level::El0.target(), false, 0);
            self.locks_work = outcome.class() == Some(SVC);
            set_os_lock(false);
            self.disarm();
        }

        /// All registers keep what they are given, while others run.
        fn keep(&mut self) {
            let numbers = self.numbers;
            let breakpoints = [(); 16].map(|()| self.any_point(0x0070_e1e6));
            let watchpoints = [(); 16].map(|()| self.any_point(0x1f1f_fffe));
            for (n, point) in breakpoints.iter().enumerate().take(numbers.breakpoints) {
                // SAFETY: it is not enabled.
                unsafe { set_breakpoint(n, *point) };
            }
            for (n, point) in watchpoints.iter().enumerate().take(numbers.watchpoints) {
                // SAFETY: as above.
                unsafe { set_watchpoint(n, *point) };
            }
            // SAFETY: as above.
            unsafe { set_control(MDE) };
            self.wait();
            for (n, point) in breakpoints.iter().enumerate().take(numbers.breakpoints) {
                self.equal("breakpoint", *point, breakpoint(n));
            }
            for (n, point) in watchpoints.iter().enumerate().take(numbers.watchpoints) {
                self.equal("watchpoint", *point, watchpoint(n));
            }
            self.equal("MDSCR_EL1", MDE, control());
            self.disarm();
        }

        /// A disabled point with any values that a register keeps.
        fn any_point(&mut self, mask: u64) -> Point {
            Point {
                value: self.rng.next_u64() & 0x0000_ffff_ffff_fffc,
                control: self.rng.next_u64() & mask | WHOLE,
            }
        }

        /// A breakpoint is hit where it is enabled, and nowhere else.
        fn break_somewhere(&mut self) {
            let n = self.rng.below(self.numbers.breakpoints as u64) as usize;
            for level in Level::BOTH {
                let (mdscr, masked) = (self.any_control(), self.one_in(4));
                let levels = self.any_levels();
                let enable = u64::from(!self.one_in(4));
                self.arm_target(n, level, WHOLE | levels | enable, mdscr);
                self.wait();
                let outcome = self.attempt(level, level.target(), masked, 0);
                let hit = self.is_enabled(level, mdscr, masked)
                    && enable != 0
                    && levels & level.bit() != 0;
                self.expect("breakpoint", level, BREAKPOINT, hit, &outcome);
                if hit {
                    self.equal("ELR_EL1", level.target() + 4, outcome.elr);
                    self.equal("IFSC", DEBUG_STATUS, outcome.esr & 0x3f);
                    self.equal("x1", 0, outcome.registers[1]);
                }
                self.disarm();
            }
        }

        /// A watchpoint is hit by what it watches, before that is done, and by nothing else.
        fn watch_something(&mut self) {
            let n = self.rng.below(self.numbers.watchpoints as u64) as usize;
            for level in Level::BOTH {
                let (mdscr, masked) = (self.any_control(), self.one_in(4));
                let (levels, kinds) = (self.any_levels(), self.any_kinds());
                let is_store = self.one_in(2);
                let (watched, accessed) = (self.rng.below(8), self.rng.below(8));
                // Half of a doubleword, or all of the words by the mask of an address.
                let wide = self.one_in(4);
                let (value, range) = if wide {
                    (data(0), 5 << 24 | 0xff << 5)
                } else {
                    (data(watched & !1), 0xf << (5 + 4 * (watched & 1)))
                };
                let control = ENABLE | levels | kinds | range;
                (0..WORDS as u64).for_each(|word| write_word(word, VALUE));
                // SAFETY: `attempt` copes with what it matches, the stubs' accesses.
                self.arm(mdscr, || unsafe {
                    set_watchpoint(n, Point { value, control })
                });
                self.wait();
                let outcome = self.attempt(level, level.access(is_store), masked, data(accessed));
                let wanted = if is_store { STORES } else { LOADS };
                let hit = self.is_enabled(level, mdscr, masked)
                    && levels & level.bit() != 0
                    && kinds & wanted != 0
                    && (wide || watched == accessed);
                self.expect("watchpoint", level, WATCHPOINT, hit, &outcome);
                if hit {
                    let syndrome = DEBUG_STATUS | if is_store { WNR } else { 0 };
                    self.equal("ISS", syndrome, outcome.esr & (WNR | 0x3f));
                    self.equal("FAR_EL1", data(accessed), outcome.far);
                    self.equal("ELR_EL1", level.access(is_store), outcome.elr);
                }
                let stored = is_store && !hit;
                let expected = if stored { 0 } else { VALUE };
                self.disarm();
                self.equal("memory", expected, read_word(accessed));
            }
        }

        /// A breakpoint that is linked to a context is hit in that context alone.
        fn link(&mut self) {
            let contexts = self.numbers.contexts as u64;
            let last = self.numbers.breakpoints as u64;
            let context = last - 1 - self.rng.below(contexts);
            if context == 0 {
                return;
            }
            let n = self.rng.below(context) as usize;
            let id = self.rng.next_u64() & 0xffff_ffff;
            let same = self.one_in(2);
            for level in Level::BOTH {
                let linked = ENABLE | WHOLE | AT_EL1 | AT_EL0;
                let point = Point {
                    value: id,
                    control: linked | LINKED_CONTEXT,
                };
                // SAFETY: it matches nothing by itself.
                unsafe { set_breakpoint(context as usize, point) };
                let control = linked | LINKED_ADDRESS | context << LINK_SHIFT;
                self.arm_target(n, level, control, MDE | KDE);
                let found = if same { id } else { !id & 0xffff_ffff };
                // SAFETY: nothing else goes by it.
                unsafe { write_sysreg!("contextidr_el1", found) };
                self.wait();
                let outcome = self.attempt(level, level.target(), false, 0);
                self.expect("linked breakpoint", level, BREAKPOINT, same, &outcome);
                self.disarm();
                // SAFETY: as above.
                unsafe { set_breakpoint(context as usize, Point::default()) };
            }
        }

        /// A lock keeps debug exceptions away.
        fn lock(&mut self) {
            let double = self.one_in(2) && self.numbers.double_lock;
            let set = if double { set_double_lock } else { set_os_lock };
            for level in Level::BOTH {
                let locked = self.one_in(2);
                self.arm_target(0, level, ENABLE | WHOLE | level.bit(), MDE | KDE);
                set(locked);
                self.wait();
                let outcome = self.attempt(level, level.target(), false, 0);
                set(false);
                self.disarm();
                if double || self.locks_work {
                    self.expect("locked breakpoint", level, BREAKPOINT, !locked, &outcome);
                }
            }
        }

        /// Software step goes instruction by instruction, whatever each of them does.
        fn walk(&mut self) {
            for level in Level::BOTH {
                let (mut at, end) = level.walk();
                let mut registers = [0; 31];
                registers[0] = data(0);
                registers[3] = gic::GICD_IIDR as u64;
                registers[8] = self.next_free();
                if level == Level::El1 {
                    // WFI finds an interrupt.
                    timer::set(0);
                }
                // SAFETY: `attempt` copes with each step.
                unsafe { set_control(SS | KDE) };
                while at != end {
                    let spsr = level.spsr(false) | SPSR_SS;
                    self.taken += 1;
                    // SAFETY: this is vCPU 0, and the code accesses what the registers say.
                    let outcome = unsafe { attempt(0, at, spsr, &registers) };
                    self.expect("step", level, STEP, true, &outcome);
                    self.equal("stepped to", at + 4, outcome.elr);
                    self.equal("IFSC of a step", DEBUG_STATUS, outcome.esr & 0x3f);
                    self.equal("SPSR_EL1.SS", 0, outcome.spsr & SPSR_SS);
                    if outcome.elr != at + 4 {
                        break;
                    }
                    registers = outcome.registers;
                    at = outcome.elr;
                }
                // SAFETY: disables it.
                unsafe { set_control(0) };
                timer::stop();
            }
        }

        /// Resets the VM with everything on.
        fn leave_everything_on(&mut self) -> ! {
            const SYSTEM_RESET: u32 = 0x8400_0009;
            for n in 0..self.numbers.breakpoints {
                let value = Level::El0.target() + 4 * (n as u64 & 1);
                let control = ENABLE | WHOLE | AT_EL0 | AT_EL1;
                // SAFETY: it matches at EL0, which does not run.
                unsafe { set_breakpoint(n, Point { value, control }) };
            }
            for n in 0..self.numbers.watchpoints {
                let control = ENABLE | 0xff << 5 | AT_EL0 | LOADS | STORES;
                // SAFETY: as above.
                unsafe {
                    set_watchpoint(
                        n,
                        Point {
                            value: data(0),
                            control,
                        },
                    )
                };
            }
            while read_sysreg!("cntpct_el0") < timer::ticks(2 * FIRST_LIFE) {
                self.wait();
            }
            // SAFETY: EL0 does not run, and debug exceptions from EL1 are masked.
            unsafe { set_control(MDE | KDE | SS) };
            loop {
                psci::call(SYSTEM_RESET);
            }
        }

        /// Sets a breakpoint on the target of `level`.
        fn arm_target(&mut self, n: usize, level: Level, control: u64, mdscr: u64) {
            let value = level.target() + 4;
            // SAFETY: `attempt` copes with it; nothing else goes there.
            self.arm(mdscr, || unsafe {
                set_breakpoint(n, Point { value, control })
            });
        }

        /// Sets a point, and MDSCR_EL1 before or after it.
        fn arm(&mut self, mdscr: u64, set: impl FnOnce()) {
            let first = self.one_in(2);
            if first {
                // SAFETY: the caller's handler copes.
                unsafe { set_control(mdscr) };
            }
            set();
            if !first {
                // SAFETY: as above.
                unsafe { set_control(mdscr) };
            }
        }

        fn disarm(&self) {
            // SAFETY: disables all.
            unsafe {
                set_control(0);
                (0..self.numbers.breakpoints).for_each(|n| set_breakpoint(n, Point::default()));
                (0..self.numbers.watchpoints).for_each(|n| set_watchpoint(n, Point::default()));
            }
        }

        fn is_enabled(&self, level: Level, mdscr: u64, masked: bool) -> bool {
            mdscr & MDE != 0 && (level == Level::El0 || mdscr & KDE != 0 && !masked)
        }

        /// Lets others run: half of the times, as it costs time.
        fn wait(&mut self) {
            if self.one_in(2) {
                exceptions::install();
                timer::wait();
                gic::mask();
                install();
            }
        }

        fn attempt(&mut self, level: Level, begin: u64, masked: bool, x0: u64) -> Outcome {
            let mut registers = [0; 31];
            registers[0] = x0;
            self.taken += 1;
            gic::mask();
            install();
            // SAFETY: this is vCPU 0, whose interrupts are masked; the stubs access the words alone.
            unsafe { attempt(0, begin, level.spsr(masked), &registers) }
        }

        /// How an attempt has to have ended.
        fn expect(&mut self, what: &str, level: Level, class: u64, hit: bool, outcome: &Outcome) {
            let end = (level == Level::El0).then_some(SVC);
            let expected = if hit { Some(level.class(class)) } else { end };
            self.equal(what, (level, expected), (level, outcome.class()));
        }

        /// Memory that nobody has touched yet, as long as there is some.
        fn next_free(&mut self) -> u64 {
            let free = self.free;
            if free + (2 << 16) < self.free_end {
                self.free += 1 << 16;
            }
            free
        }

        fn any_control(&mut self) -> u64 {
            let mde = if self.one_in(8) { 0 } else { MDE };
            let kde = if self.one_in(4) { 0 } else { KDE };
            mde | kde
        }

        fn any_levels(&mut self) -> u64 {
            [AT_EL1, AT_EL0, AT_EL1 | AT_EL0][self.rng.below(3) as usize]
        }

        fn any_kinds(&mut self) -> u64 {
            [LOADS, STORES, LOADS | STORES][self.rng.below(3) as usize]
        }

        fn one_in(&mut self, n: u64) -> bool {
            self.rng.below(n) == 0
        }

        fn equal<T: PartialEq + fmt::Debug>(&mut self, what: &str, expected: T, found: T) {
            if expected != found {
                self.mismatches += 1;
                if self.mismatches <= PRINTED_MISMATCHES {
                    println!("MISMATCH {what} expected={expected:x?} found={found:x?}");
                }
            }
        }
    }

    fn word(n: u64) -> *mut u32 {
        DATA.0.get().cast::<u32>().wrapping_add(n as usize % WORDS)
    }

    /// The address of a word.
    fn data(n: u64) -> u64 {
        word(n).expose_provenance() as u64
    }

    fn read_word(n: u64) -> u32 {
        // SAFETY: one of the words; EL0 does not run.
        unsafe { word(n).read_volatile() }
    }

    fn write_word(n: u64, value: u32) {
        // SAFETY: one of the words; EL0 does not run.
        unsafe { word(n).write_volatile(value) };
    }
}
