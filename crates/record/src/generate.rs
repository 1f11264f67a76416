//! Makes record files of any length from a seed, for tests and measurements: guests that nobody ran,
//! but that use the registers in the bursts that guests do.

use trapcast_trace::{
    random::Random,
    record::{Flags, NEVER, Record},
    report::Exit,
};

use super::{
    Cancel,
    error::{Error, Result},
    metadata::{Metadata, Vcpu},
    schema,
    writer::{End, Output, ROW_GROUP, RecordWriter},
};

/// Records handed to the writer at once.
const BATCH: usize = 4096;

/// Windows after which a time slice ends, where several vCPUs share the core.
const SLICE: u64 = 12;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Windows.
    pub windows: u64,
    /// vCPUs, each of a VM of its own, that preempt one another on one core.
    pub vcpus: u16,
    /// The seed.
    pub seed: u64,
    /// Whether to leave out the columns that no replay reads, which takes a tenth of the time.
    pub replay_only: bool,
}

/// Writes a record of a shape; the same one has the same windows. Memory does not grow with it. Returns
/// what it was written to.
///
/// # Errors
/// [`Error::NoVcpu`] without a vCPU, [`Error::Cancelled`] if `cancel` says so, else as [`RecordWriter`].
pub fn generate<W: Output>(output: W, shape: Shape, cancel: Cancel<'_>) -> Result<W> {
    if shape.vcpus == 0 {
        return Err(Error::NoVcpu);
    }
    let vcpus = (0..shape.vcpus).map(|vm| Vcpu { vm, index: 0 });
    let metadata = Metadata {
        workload: "generated".to_string(),
        scheme: "owner".to_string(),
        cpu: "none".to_string(),
        vhe: true,
        seed: shape.seed,
        scale: serde_json::json!({ "windows": shape.windows }),
        versions: serde_json::json!({ "trapcast": env!("CARGO_PKG_VERSION") }),
        vcpus: vcpus.collect(),
        ..Metadata::default()
    };
    let columns = if shape.replay_only {
        schema::replayed_columns()
    } else {
        schema::COLUMNS
    };
    let mut writer = RecordWriter::with_columns(output, metadata, columns, ROW_GROUP)?;
    let mut machine = Machine::new(shape);
    let mut batch = Vec::with_capacity(BATCH);
    let mut left = shape.windows;
    while left > 0 {
        if cancel() {
            return Err(Error::Cancelled);
        }
        batch.clear();
        batch.extend((0..left.min(BATCH as u64)).map(|_| machine.window()));
        left -= batch.len() as u64;
        writer.push(0, &batch)?;
    }
    writer.finish(End {
        waits: 0,
        counter_frequency: 62_500_000,
    })
}

/// One core, and who runs on it.
struct Machine {
    random: Random,
    guests: Vec<Guest>,
    running: usize,
    /// Windows that the running vCPU has left before its slice ends.
    slice: u64,
    is_loaded: bool,
    ticks: u64,
}

/// One vCPU.
#[derive(Clone, Copy)]
struct Guest {
    has_run: bool,
    /// Whether its task uses the registers nearly always, or nearly never.
    is_busy: bool,
    /// The task, which has an address space of its own.
    task: u16,
}

impl Machine {
    fn new(shape: Shape) -> Self {
        let guest = |number| Guest {
            has_run: false,
            is_busy: number % 2 == 0,
            task: 0,
        };
        Self {
            random: Random::new(shape.seed),
            guests: (0..shape.vcpus).map(guest).collect(),
            running: 0,
            slice: SLICE,
            is_loaded: false,
            ticks: 1 << 20,
        }
    }

    /// Returns the next window.
    fn window(&mut self) -> Record {
        let random = self.random.next();
        let chance = |shift: u32, bits: u32| random >> shift & ((1 << bits) - 1);
        let guest = &mut self.guests[self.running];
        // A task goes on for 256 windows on average; the next one uses the registers or not.
        if chance(0, 8) == 0 {
            guest.is_busy = chance(8, 1) == 0;
            guest.task = chance(9, 3) as u16;
        }
        let surprise = chance(12, 6) == 0;
        let used = guest.is_busy != surprise;
        let exit = self.exit(chance(18, 4));
        let put = exit == Exit::HypervisorTimer || exit == Exit::Wait;
        let host_uses = u16::from(exit == Exit::Stage2Fault);
        let guest = &mut self.guests[self.running];
        let instructions = 900 + 16 * chance(22, 4) as u32;
        let el1 = chance(26, 1) == 0;
        let mut flags = Flags::empty();
        flags.set(Flags::FP, used);
        flags.set(Flags::LOADED, !self.is_loaded);
        flags.set(Flags::PUT, put);
        flags.set(Flags::POWERED_ON, !guest.has_run);
        guest.has_run = true;
        let record = Record {
            start: self.ticks,
            pc: 0xffff_8000_8001_0000 + u64::from(guest.task) * 0x1000 + chance(27, 3) * 4,
            ttbr0: 0x4100_0000 + u64::from(guest.task) * 0x1000,
            duration: instructions / 16,
            guest_instructions: instructions,
            el2_instructions: if put { 640 } else { 320 },
            first_use: if used {
                16 * chance(30, 3) as u32
            } else {
                NEVER
            },
            pstate: if el1 { 0x6000_03c5 } else { 0x6000_0000 },
            esr: syndrome(exit),
            contextidr: 0,
            cpacr: 0x30,
            host_uses,
            vcpu: self.running as u16,
            asid: guest.task,
            intid: match exit {
                Exit::VirtualTimer => 27,
                Exit::HypervisorTimer => 26,
                _ => 0,
            },
            exit: exit as u8,
            flags: flags.bits(),
        };
        self.ticks += u64::from(record.duration) + if put { 40 } else { 20 };
        self.is_loaded = !put;
        self.slice = self.slice.saturating_sub(1);
        if put {
            self.running = (self.running + 1) % self.guests.len();
            self.slice = SLICE + chance(34, 2);
        }
        record
    }

    /// Chooses why a window ends, by a number below 16.
    fn exit(&self, number: u64) -> Exit {
        if self.slice == 0 && self.guests.len() > 1 {
            return Exit::HypervisorTimer;
        }
        match number {
            0 => Exit::Wait,
            1..=4 => Exit::VirtualTimer,
            5..=9 => Exit::SystemRegister,
            10..=12 => Exit::Hypercall,
            13 | 14 => Exit::Mmio,
            _ => Exit::Stage2Fault,
        }
    }
}

/// Returns an `ESR_EL2` of an exit: its class, with the length bit.
const fn syndrome(exit: Exit) -> u32 {
    let class = match exit {
        Exit::Wait => 0x01,
        Exit::Hypercall => 0x16,
        Exit::SystemRegister => 0x18,
        Exit::Mmio | Exit::Stage2Fault => 0x24,
        _ => return 0,
    };
    class << 26 | 1 << 25
}
