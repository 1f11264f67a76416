//! The plugin: what is looked at in each block, and what is read when it happens.
//!
//! QEMU keeps blocks apart by exception level, by HCR_EL2.TGE, and by whether FP/SIMD, SVE and SME are trapped; so
//! these are looked at once, at translation. Code that runs only counts, in line, and calls when a guest is
//! entered or left and at the first use of a class.

use std::{
    collections::HashMap,
    ffi::{CStr, OsStr},
    os::unix::ffi::OsStrExt,
    path::Path,
    sync::{
        Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::ThreadId,
};

use trapcast_trace::observed::{ObservedWindow, Seen};

use crate::{
    instruction::{Class, Instruction},
    output::Output,
    qemu::{self, Block, Counter, Plugin, Register},
    state::{Gates, Hcr, asid, is_mark, is_synchronous, leads_below, stored_register, vmid},
    window::{Core, Counts, Entry, Exit},
};

/// Defines the registers that are read: our name of each, and QEMU's.
macro_rules! registers {
    ($($name:ident: $qemus:literal),* $(,)?) => {
        /// The registers that are read.
        #[derive(Clone, Copy)]
        struct Registers {
            $($name: Register,)*
            general: [Register; 31],
        }

        impl Registers {
            fn find() -> Result<Self, &'static str> {
                let [$($name),*] = qemu::registers([$($qemus),*])?;
                let general = qemu::registers([
                    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15",
                    "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x29",
                    "x30",
                ])?;
                Ok(Self { $($name,)* general })
            }
        }
    };
}

registers! {
    pc: "pc",
    pstate: "cpsr",
    hcr: "HCR_EL2",
    spsr: "SPSR_EL2",
    elr: "ELR_EL2",
    esr: "ESR_EL2",
    vttbr: "VTTBR_EL2",
    vmpidr: "VMPIDR_EL2",
    cptr: "CPTR_EL2",
    cpacr: "CPACR",
    ttbr0: "TTBR0_EL1",
    ttbr1: "TTBR1_EL1",
    tcr: "TCR_EL1",
    contextidr: "CONTEXTIDR_EL1",
    far: "FAR_EL2",
}

/// Where all cores are on one thread, QEMU 10.0 compiles the number of the core that translates a block into it,
/// and lets the others run it.
const ONE_THREAD: &str = "QEMU runs several cores on one thread, and tells a plugin a wrong core: take one core, or \
                          leave -icount and thread=single out";

/// Why a block calls.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Call {
    /// An exception return at EL2.
    Return,
    /// A vector at this offset is entered at EL2, and a guest was running.
    Exit(u16),
    /// A class is used for the first time since the last entry or exit.
    Uses(Class),
    /// A register is written that a vCPU's load writes.
    Wrote(Seen),
    /// An interrupt was acknowledged, and this general-purpose register holds its INTID.
    Acknowledged(u8),
}

impl Call {
    /// The call as a number, which QEMU keeps.
    const fn number(self) -> usize {
        let (kind, value) = match self {
            Self::Return => (0, 0),
            Self::Exit(offset) => (1, offset as usize),
            Self::Uses(class) => (2, class as usize),
            Self::Wrote(mark) => (3, mark.bits() as usize),
            Self::Acknowledged(register) => (4, register as usize),
        };
        value << 3 | kind
    }

    /// The call of a number.
    fn of(number: usize) -> Self {
        let value = number >> 3;
        match number & 7 {
            0 => Self::Return,
            1 => Self::Exit(value as u16),
            2 => Self::Uses(Class::ALL[value]),
            3 => Self::Wrote(Seen::from_bits_truncate(value as u32)),
            _ => Self::Acknowledged(value as u8),
        }
    }
}

/// What translated code counts in, and looks at.
struct Counters {
    /// Instructions at EL0 and EL1.
    below: Counter,
    /// Instructions at EL2.
    el2: Counter,
    /// FP/SIMD, SVE and SME instructions at EL1 and EL2.
    fp: Counter,
    /// 1 while a guest runs.
    in_guest: Counter,
    /// By class: 1 until it was used since the last entry or exit.
    watched: [Counter; 3],
}

impl Counters {
    fn new() -> Self {
        Self {
            below: Counter::new(),
            el2: Counter::new(),
            fp: Counter::new(),
            in_guest: Counter::new(),
            watched: [(); 3].map(|()| Counter::new()),
        }
    }

    fn of(&self, core: usize) -> Counts {
        Counts {
            below: self.below.get(core),
            el2: self.el2.get(core),
            fp: self.fp.get(core),
        }
    }

    /// From now on, a guest runs or not, and has used nothing.
    fn begin(&self, core: usize, in_guest: bool) {
        self.in_guest.set(core, in_guest.into());
        for watched in &self.watched {
            watched.set(core, 1);
        }
    }
}

/// The observer.
struct Observer {
    counters: Counters,
    registers: OnceLock<Registers>,
    cores: Mutex<Vec<Core>>,
    output: Mutex<Output>,
    /// Windows that have begun, over all cores.
    windows: AtomicU64,
    /// Whether EL1 was entered without stage 2: a host runs there.
    has_host_at_el1: AtomicBool,
    /// The thread of the core that was made last.
    thread: Mutex<Option<ThreadId>>,
    /// Where an interrupt has just been acknowledged, and the register that its INTID is in.
    acknowledged: Mutex<HashMap<u64, u8>>,
}

/// Makes the observer.
///
/// # Errors
/// Why it cannot run, in a sentence.
pub fn plugin(is_suitable: bool, arguments: &[&CStr]) -> Result<Box<dyn Plugin>, String> {
    if !is_suitable {
        return Err("only qemu-system-aarch64 can be observed".to_string());
    }
    let mut out = None;
    for argument in arguments {
        match argument.to_bytes().strip_prefix(b"out=") {
            Some(path) => out = Some(Path::new(OsStr::from_bytes(path))),
            None => {
                return Err(format!(
                    "{argument:?} is no argument of it: it takes out=FILE"
                ));
            }
        }
    }
    let out = out.ok_or("it does not know where to write: give it out=FILE")?;
    let output = Output::create(out)
        .map_err(|error| format!("{}: cannot be written: {error}", out.display()))?;
    Ok(Box::new(Observer {
        counters: Counters::new(),
        registers: OnceLock::new(),
        cores: Mutex::new(Vec::new()),
        output: Mutex::new(output),
        windows: AtomicU64::new(0),
        has_host_at_el1: AtomicBool::new(false),
        thread: Mutex::new(None),
        acknowledged: Mutex::new(HashMap::new()),
    }))
}

/// A lock that no other thread can have left in disorder, as nothing here panics while it holds one.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Plugin for Observer {
    fn begins(&self, core: usize) {
        let thread = std::thread::current().id();
        if lock(&self.thread).replace(thread) == Some(thread) {
            eprintln!("trapcast-observer: error: {ONE_THREAD}");
            std::process::exit(1);
        }
        let mut cores = lock(&self.cores);
        while cores.len() <= core {
            let number = cores.len() as u16;
            cores.push(Core::new(number));
        }
        if self.registers.get().is_none() {
            match Registers::find() {
                Ok(registers) => drop(self.registers.set(registers)),
                Err(name) => eprintln!(
                    "trapcast-observer: error: the core has no {name}, so no guest is ever seen: it needs \
                     -machine virtualization=on and an AArch64 core"
                ),
            }
        }
        self.counters.begin(core, false);
    }

    fn translates(&self, block: &Block) {
        let Some(registers) = self.registers.get() else {
            return;
        };
        if registers.pc.read() != block.address() {
            // In AArch32 state QEMU's own PC and PSTATE of AArch64 stay behind.
            for instruction in block.instructions() {
                instruction.count(self.counters.below, 1);
            }
            return;
        }
        let el = (registers.pstate.read() >> 2 & 0b11) as u8;
        if el > 2 {
            return;
        }
        let gates = Gates {
            hcr: Hcr(registers.hcr.read()),
            cpacr: registers.cpacr.read(),
            cptr: registers.cptr.read(),
        };
        self.instrument(block, el, gates);
    }

    fn executes(&self, core: usize, call: usize) {
        let Some(registers) = self.registers.get() else {
            return;
        };
        match Call::of(call) {
            Call::Return => self.returns(core, registers),
            Call::Exit(vector) => self.exits(core, registers, vector),
            Call::Uses(class) => {
                self.counters.watched[class as usize].set(core, 0);
                let counts = self.counters.of(core);
                self.with(core, |core| core.uses(class, counts));
            }
            Call::Wrote(mark) => self.with(core, |core| core.wrote(mark)),
            Call::Acknowledged(register) => {
                if let Some(register) = registers.general.get(usize::from(register)) {
                    let intid = register.read() as u32;
                    self.with(core, |core| core.acknowledged(intid));
                }
            }
        }
    }

    fn ends(&self) {
        let mut output = lock(&self.output);
        for (number, core) in lock(&self.cores).iter_mut().enumerate() {
            if let Some(window) = core.finish(self.counters.of(number)) {
                output.push(&window);
            }
        }
        let windows = self.windows.load(Ordering::Relaxed);
        qemu::say(&format!("{windows} windows"));
    }
}

impl Observer {
    /// Has a block count and call.
    fn instrument(&self, block: &Block, el: u8, gates: Gates) {
        let counters = &self.counters;
        let counted = if el == 2 {
            counters.el2
        } else {
            counters.below
        };
        let address = block.address();
        if el == 2 && address & 0x7f == 0 {
            block.call_if(
                counters.in_guest,
                Call::Exit(address as u16 & 0x7ff).number(),
            );
        }
        if el > 0
            && let Some(register) = lock(&self.acknowledged).get(&address)
        {
            block.call(Call::Acknowledged(*register).number());
        }
        let mut acknowledged = None;
        // What can raise no exception is counted with the instruction after it.
        let mut uncounted = 0;
        let mut next = address;
        let instructions = block.instructions();
        let last = instructions.len() - 1;
        for (index, instruction) in instructions.enumerate() {
            let (word, length) = instruction.encoding();
            next += length as u64;
            let kind = Instruction::of(word);
            uncounted += 1;
            if kind != Instruction::Plain || index == last {
                instruction.count(counted, uncounted);
                uncounted = 0;
            }
            if let Some(register) = acknowledged.take() {
                instruction.call(Call::Acknowledged(register).number());
            }
            match kind {
                Instruction::ExceptionReturn if el == 2 => {
                    instruction.call(Call::Return.number());
                }
                Instruction::Uses(class) if gates.is_open(class, el) => {
                    if el > 0 {
                        instruction.count(counters.fp, 1);
                    }
                    if el < 2 {
                        let watched = counters.watched[class as usize];
                        instruction.call_if(watched, Call::Uses(class).number());
                    }
                }
                Instruction::WritesVmpidr if el == 2 => {
                    instruction.call(Call::Wrote(Seen::VMPIDR_WRITTEN).number());
                }
                Instruction::WritesVmcr if el == 2 => {
                    instruction.call(Call::Wrote(Seen::VMCR_WRITTEN).number());
                }
                Instruction::Acknowledges(register) if el > 0 => acknowledged = Some(register),
                _ => {}
            }
        }
        // The block ends with it, so its value is there where the next one begins.
        if let Some(register) = acknowledged {
            lock(&self.acknowledged).insert(next, register);
        }
    }

    /// Does something with a core.
    fn with<T: Default>(&self, core: usize, action: impl FnOnce(&mut Core) -> T) -> T {
        lock(&self.cores)
            .get_mut(core)
            .map(action)
            .unwrap_or_default()
    }

    /// EL2 returns from an exception.
    fn returns(&self, core: usize, registers: &Registers) {
        let spsr = registers.spsr.read();
        if !leads_below(spsr) {
            return;
        }
        let hcr = Hcr(registers.hcr.read());
        if !hcr.has_stage_2() {
            // AArch64's EL1.
            if !hcr.is_host() && spsr & 0x1c == 0x4 {
                self.has_host_at_el1.store(true, Ordering::Relaxed);
            }
            return;
        }
        let vttbr = registers.vttbr.read();
        // A host at EL1 that was put behind stage 2 later, as protected KVM does, with E2H or without: no VMID is its.
        if vmid(vttbr) == 0 && self.has_host_at_el1.load(Ordering::Relaxed) {
            return;
        }
        let entry = Entry {
            vttbr,
            vmpidr: registers.vmpidr.read(),
            cptr: registers.cptr.read(),
            pc: registers.elr.read(),
            pstate: spsr as u32,
            e2h: hcr.e2h(),
        };
        let counts = self.counters.of(core);
        self.counters.begin(core, true);
        let next = || self.windows.fetch_add(1, Ordering::Relaxed);
        let ended = self.with(core, |core| core.enter(entry, counts, next));
        self.write(ended);
    }

    /// A guest is left.
    fn exits(&self, core: usize, registers: &Registers, vector: u16) {
        let ttbr0 = registers.ttbr0.read();
        let esr = registers.esr.read() as u32;
        let marks = is_synchronous(vector)
            && stored_register(esr).is_some_and(|register| {
                let register = registers.general.get(usize::from(register));
                is_mark(
                    registers.far.read(),
                    register.map_or(0, |register| register.read()),
                )
            });
        let exit = Exit {
            vector,
            esr,
            marks,
            pc: registers.elr.read(),
            ttbr0,
            asid: asid(registers.tcr.read(), ttbr0, registers.ttbr1.read()),
            contextidr: registers.contextidr.read() as u32,
            cpacr: registers.cpacr.read() as u32,
        };
        let counts = self.counters.of(core);
        self.counters.begin(core, false);
        self.with(core, |core| core.exit(exit, counts));
    }

    fn write(&self, window: Option<ObservedWindow>) {
        if let Some(window) = window {
            lock(&self.output).push(&window);
        }
    }
}
