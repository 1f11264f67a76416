//! From QEMU's jump to the image to the first guest.

use ::core::{arch::global_asm, ffi::c_void, fmt};

use alloc::boxed::Box;
use dtoolkit::fdt::Fdt;
use trapcast_fpsimd::FpSimd;
use trapcast_hypervisor::{modules::Board, settings::Settings};
use trapcast_switch::Class;
use trapcast_trace::report::{CoreReport, State};

use crate::el2::{
    arch::{
        controls, meter,
        pmu::Pmu,
        register_file::{Area, RegisterFile},
    },
    board::{
        console::{self, say},
        gic, memory,
        panic::fail,
        report::{self, Report},
        stacks,
        vector_lengths::Lengths,
        workarounds,
    },
    boot::create,
    sched::{host_simd, ipi},
    state::{
        core::Core,
        recorder::{self, Recorder},
    },
};
use crate::{mrs, msr};

/// HCR_EL2.RW: EL1 is AArch64. HCR_EL2.E2H: the Virtualization Host Extensions.
pub const HCR_RW: u64 = 1 << 31;
/// See [`HCR_RW`].
pub const HCR_E2H: u64 = 1 << 34;

// The tables that EL2 starts with: the first GiB is devices, the next three are RAM. They let Rust
// run with the MMU on (an exclusive access needs Normal memory) until `memory` has made better ones.
global_asm!(
    ".pushsection .data.initial_table, \"aw\"",
    ".balign 4096",
    "initial_table:",
    ".quad 0x0040000000000401",
    ".quad 0x0000000040000705",
    ".quad 0x0000000080000705",
    ".quad 0x00000000c0000705",
    ".zero 4096 - 4 * 8",
    ".popsection",
    ".pushsection .text.boot, \"ax\"",
    ".global el2_entry",
    "el2_entry:",
    "mrs x0, CurrentEL",
    "cmp x0, #(2 << 2)",
    "b.ne 2f",
    "msr spsel, #1",
    "msr daifset, #0xf",
    "ldr x0, =stacks_start + {stack_top}",
    "mov sp, x0",
    "adrp x0, el2_vectors",
    "add x0, x0, :lo12:el2_vectors",
    "msr vbar_el2, x0",
    "adrp x0, bss_start",
    "adrp x1, bss_end",
    "0:",
    "cmp x0, x1",
    "b.eq 1f",
    "stp xzr, xzr, [x0], #16",
    "b 0b",
    "1:",
    "adrp x3, initial_table",
    "mov x0, #{hcr}",
    "ldr x1, ={tcr}",
    "ldr x2, ={sctlr}",
    "bl el2_change_regime",
    "bl el2_main",
    // Not at EL2, or at the end of everything.
    "2:",
    "wfi",
    "b 2b",
    // Changes HCR_EL2 to x0, TCR_EL2 to x1, SCTLR_EL2 to x2, and the tables to those at x3, with
    // the MMU off in between: a change of E2H gives the other registers another layout.
    ".balign 64",
    ".global el2_change_regime",
    "el2_change_regime:",
    "mrs x4, sctlr_el2",
    "bic x4, x4, #1",
    "msr sctlr_el2, x4",
    "isb",
    "msr hcr_el2, x0",
    "isb",
    // Extensions of EL2's own regime are off: GCSCR_EL2 (ID_AA64PFR1_EL1.GCS), TCR2_EL2 and SCTLR2_EL2
    // (ID_AA64MMFR3_EL1.TCRX and SCTLRX).
    "mrs x4, id_aa64pfr1_el1",
    "ubfx x4, x4, #44, #4",
    "cbz x4, 0f",
    "msr s3_4_c2_c5_0, xzr",
    "0:",
    "mrs x4, s3_0_c0_c7_3",
    "tst x4, #0xf",
    "b.eq 0f",
    "msr s3_4_c2_c0_3, xzr",
    "0:",
    "tst x4, #0xf0",
    "b.eq 0f",
    "msr s3_4_c1_c0_3, xzr",
    "0:",
    "msr amair_el2, xzr",
    "ldr x4, ={mair}",
    "msr mair_el2, x4",
    "msr tcr_el2, x1",
    "msr ttbr0_el2, x3",
    "isb",
    "tlbi alle2",
    "tlbi alle1",
    "ic iallu",
    "dsb sy",
    "isb",
    "msr sctlr_el2, x2",
    "isb",
    "ret",
    ".popsection",
    hcr = const HCR_RW,
    tcr = const memory::TCR,
    sctlr = const memory::SCTLR,
    mair = const memory::MAIR,
    stack_top = const stacks::TOP,
);

unsafe extern "C" {
    fn el2_change_regime(hcr: u64, tcr: u64, sctlr: u64, tables: u64);
    safe static initial_table: u8;
    fn el2_enter(vcpu: *mut c_void) -> !;
}

/// EL2's way from its first Rust instruction to the first guest.
#[unsafe(no_mangle)]
extern "C" fn el2_main() -> ! {
    // SAFETY: at boot, once, before anything allocates or prints.
    unsafe {
        memory::init_heap();
        console::init();
    }
    let Report {
        header,
        cores,
        vms,
        vcpus,
    } = report::init();
    meter::check_counters();
    let fdt = memory::board_fdt();
    let fdt = Fdt::new(fdt)
        .unwrap_or_else(|error| fail(format_args!("the board's device tree: {error}")));
    let board = Board::from_fdt(fdt).unwrap_or_else(|error| fail(format_args!("{error}")));
    let settings =
        Settings::parse(board.command_line).unwrap_or_else(|error| fail(format_args!("{error}")));
    let e2h = settings.vhe && has_vhe();
    if e2h {
        // SAFETY: the same tables, in the layout of the other regime, map all of EL2 as before.
        unsafe {
            el2_change_regime(
                HCR_RW | HCR_E2H,
                memory::TCR_E2H,
                memory::SCTLR,
                &raw const initial_table as u64,
            );
        }
    }
    memory::map(&board, e2h);
    // SAFETY: at boot, once, with the GIC's frames mapped.
    unsafe { gic::init(board.cores) }
    header.vhe = u32::from(e2h);
    header.counter_frequency = mrs!("cntfrq_el0");

    if settings.record {
        recorder::check_room(&board);
    }
    header.cores = board.cores as u32;
    let (first, others) = cores[..board.cores].split_at_mut(1);
    let common = Box::leak(Box::new(Common {
        e2h,
        slice: u64::from(settings.slice) * header.counter_frequency / 1_000_000,
        second: header.counter_frequency,
        record: settings.record,
        latency: settings.latency,
        idle_polls: settings.idle_polls,
        disturb: settings.disturb,
    }));
    // SAFETY: at this core's boot.
    let core = unsafe { set_up_core(0, common, &mut first[0]) };
    ipi::announce();
    if let Some(fault) = core.lengths.fault() {
        say!("no guest gets SME: {fault}");
    }
    create::create_all(&board, &settings, core, header, (vms, vcpus));
    ipi::start_others(common, others);
    say!(
        "{}, {}, {}, {:#x}",
        number_of(header.vms, "VM"),
        number_of(header.cores, "core"),
        if e2h { "VHE" } else { "no VHE" },
        mrs!("midr_el1")
    );
    header.state = State::Running as u32;
    header.started = mrs!("cntpct_el0");
    ipi::go();
    core.run()
}

/// A number of things as a sentence has it.
fn number_of(count: u32, thing: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} {thing}{plural}")
    })
}

/// What is the same for every core.
pub struct Common {
    /// HCR_EL2.E2H.
    pub e2h: bool,
    /// Time slice in ticks of the physical counter.
    pub slice: u64,
    /// One second in ticks.
    pub second: u64,
    /// Whether every window is recorded.
    pub record: bool,
    /// Whether the distribution of masked stretches is kept.
    pub latency: bool,
    /// Whether an idle core polls for interrupts.
    pub idle_polls: bool,
    /// What disturbs the cores.
    pub disturb: Option<u64>,
}

/// Sets up the core that calls it, as core `number`.
///
/// # Safety
/// Called once per core, before it runs guests, on its own stack.
pub unsafe fn set_up_core(
    number: usize,
    common: &Common,
    report: &'static mut CoreReport,
) -> &'static mut Core {
    gic::init_cpu_interface();
    // What the host keeps in its registers, to notice if it ever loses them.
    let host = Area::leak(RegisterFile::with_fp(host_simd::CANARY));
    let core = Box::leak(Box::new(Core::new(
        stacks::top(number),
        common.e2h,
        host,
        number,
        common.slice,
        common.second,
        report,
    )));
    core.lengths = Lengths::of(core);
    core.unlock(Class::Fp);
    // SAFETY: the gate is open; the registers become what the switch takes them for.
    unsafe { FpSimd::load(host.fp()) }
    if common.record {
        core.recorder = Recorder::on(number);
    }
    if common.latency {
        // SAFETY: once per core, and the mailbox is laid out before any is set up.
        core.meter.keep_all(unsafe { report::masked(number) });
    }
    core.turn.polls = common.idle_polls;
    if let Some(seed) = common.disturb {
        core.set_disturbance(seed);
    }
    // SAFETY: no guest has run on this core yet.
    unsafe { Pmu::default().load() }
    workarounds::turn_on();
    // SAFETY: no guest has run on this core yet.
    unsafe { init_guest_controls(common.e2h) }
    core
}

impl Core {
    /// Runs guests for good.
    pub fn run(&mut self) -> ! {
        let vcpu = self.first();
        // SAFETY: the vCPU is loaded, its registers are those of its reset.
        unsafe { el2_enter(vcpu.as_ptr().cast()) }
    }
}

/// Returns whether the core has the Virtualization Host Extensions (ID_AA64MMFR1_EL1.VH).
fn has_vhe() -> bool {
    mrs!("id_aa64mmfr1_el1") >> 8 & 0xf != 0
}

/// Sets up what all guests have in common on this core.
///
/// # Safety
/// At EL2, before the first guest is entered.
unsafe fn init_guest_controls(e2h: bool) {
    // SAFETY: EL1 does not run yet.
    unsafe {
        // EL1 may read the physical counter; its accesses to the physical timer trap. The bits stand
        // elsewhere with E2H = 1.
        msr!("cnthctl_el2", if e2h { 1 << 10 } else { 1 });
        msr!("cntvoff_el2", 0);
        controls::init();
    }
}
