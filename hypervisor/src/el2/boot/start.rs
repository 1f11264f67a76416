//! From QEMU's jump to the image to the first guest.

use ::core::{arch::global_asm, fmt};

use alloc::boxed::Box;
use dtoolkit::fdt::Fdt;
use trapcast_hypervisor::{modules::Board, settings::Settings};
use trapcast_trace::report::State;

use crate::el2::{
    arch::hcr::{HCR_E2H, HCR_RW},
    board::{
        console::{self, say},
        gic, memory,
        panic::fail,
        report::{self, Report},
        stacks,
    },
    boot::{
        create,
        set_up::{self, Common},
        smp,
    },
    state::{recorder, shared},
};
use crate::mrs;

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
    check_counters();
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
    let core = unsafe { set_up::set_up_core(0, common, &mut first[0]) };
    shared::announce();
    if let Some(fault) = core.lengths.fault() {
        say!("no guest gets SME: {fault}");
    }
    create::create_all(&board, &settings, core, header, (vms, vcpus));
    smp::start_others(common, others);
    say!(
        "{}, {}, {}, {:#x}",
        number_of(header.vms, "VM"),
        number_of(header.cores, "core"),
        if e2h { "VHE" } else { "no VHE" },
        mrs!("midr_el1")
    );
    header.state = State::Running as u32;
    header.started = mrs!("cntpct_el0");
    smp::go();
    set_up::run(core)
}

/// A number of things as a sentence has it.
fn number_of(count: u32, thing: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let plural = if count == 1 { "" } else { "s" };
        write!(f, "{count} {thing}{plural}")
    })
}

/// Returns whether the core has the Virtualization Host Extensions (ID_AA64MMFR1_EL1.VH).
fn has_vhe() -> bool {
    mrs!("id_aa64mmfr1_el1") >> 8 & 0xf != 0
}

/// Event counters that a core has to have: the hypervisor's image names 4 and 5.
const COUNTERS: u64 = 6;

/// Refuses a core that has not the counters that EL2's code names: without them MDCR_EL2.HPMN = 4 and an
/// access to PMEVCNTR4_EL0 are not defined (Arm ARM, "MDCR_EL2.HPMN", "PMEVCNTRn_EL0").
fn check_counters() {
    // ID_AA64DFR0_EL1.PMUVer: none, or not the architecture's.
    let has_pmu = !matches!(mrs!("id_aa64dfr0_el1") >> 8 & 0xf, 0 | 0xf);
    let counters = if has_pmu {
        mrs!("pmcr_el0") >> 11 & 0x1f
    } else {
        0
    };
    if counters < COUNTERS {
        fail(format_args!(
            "this core has {counters} event counters, and EL2 needs {COUNTERS}, as it counts its \
             instructions by two of them; take one of more, or QEMU's -cpu without pmu=off"
        ));
    }
}
