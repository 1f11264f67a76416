//! Traces of hosts, made by a small KVM of the tests' own, and what is to come of each.

use std::io::Cursor;

use proptest::prelude::*;
use trapcast_record::{Metadata, RecordFile, Vcpu, Window};

use super::{Error, Imported, Tally, host::Host, import, line};

/// Writes what KVM traces.
#[derive(Default)]
struct Kvm {
    text: String,
    time: u64,
}

impl Kvm {
    fn event(&mut self, thread: u32, cpu: u32, text: &str) {
        self.time += 1000;
        let (seconds, fraction) = (self.time / 1_000_000_000, self.time % 1_000_000_000);
        self.text += &format!(
            " CPU {thread}/KVM-{thread} (  100) [{cpu:03}] d..1. {seconds}.{fraction:09}: {text}\n"
        );
    }

    fn load(&mut self, thread: u32, cpu: u32) {
        let text = format!(
            "load_fp: (kvm_arch_vcpu_load_fp+0x0/0x90) vcpu=0x{thread:x}0 vm=0xf{:x}",
            thread / 10
        );
        self.event(thread, cpu, &text);
    }

    fn put(&mut self, thread: u32, cpu: u32) {
        self.event(thread, cpu, "put_fp: (kvm_arch_vcpu_put_fp+0x0/0x90)");
    }

    fn enter(&mut self, thread: u32, cpu: u32) {
        self.event(thread, cpu, "kvm_entry: PC: 0xffff800010a2c5b0");
    }

    fn leave(&mut self, thread: u32, cpu: u32, owns: bool) {
        self.event(
            thread,
            cpu,
            "ctxsync_fp: (kvm_arch_vcpu_ctxsync_fp+0x0/0x90)",
        );
        if owns {
            self.event(thread, cpu, "bind: (fpsimd_bind_state_to_cpu+0x0/0x50)");
        }
        self.event(
            thread,
            cpu,
            "kvm_exit: TRAP: HSR_EC: 0x0001 (WFx), PC: 0xffff800010a2c5b0",
        );
    }

    fn window(&mut self, thread: u32, cpu: u32, owns: bool) {
        self.enter(thread, cpu);
        self.leave(thread, cpu, owns);
    }

    fn neon(&mut self, thread: u32, cpu: u32) {
        self.event(thread, cpu, "neon: (kernel_neon_begin+0x0/0xf0)");
    }

    fn line(&mut self, text: &str) {
        self.text += text;
        self.text.push('\n');
    }
}

type Done = Result<(Vec<Window>, Vec<Vcpu>, Tally), Error>;

fn imported(text: &[u8]) -> Done {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("host.parquet");
    let file = std::fs::File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)
        .unwrap();
    let Imported { tally, .. } = import(
        Cursor::new(text),
        file,
        Metadata::default(),
        &|| false,
        |_| {},
    )?;
    let record = RecordFile::open(&path).unwrap();
    let (mut all, mut some) = (Vec::new(), Vec::new());
    let mut rows = record.rows().unwrap();
    while {
        rows.read(&mut some).unwrap();
        !some.is_empty()
    } {
        all.extend_from_slice(&some);
    }
    Ok((all, record.metadata().vcpus.clone(), tally))
}

/// Whether each window used the registers, and was the last of its load.
fn uses(kvm: &Kvm) -> Vec<(Option<bool>, bool)> {
    let (windows, ..) = imported(kvm.text.as_bytes()).unwrap();
    windows
        .iter()
        .map(|window| (window.used, window.put))
        .collect()
}

#[test]
fn a_window_is_known_until_the_guest_owns_the_registers_and_unseen_after_that() {
    let mut kvm = Kvm::default();
    for _ in 0..2 {
        kvm.load(7, 0);
        for owns in [false, true, true] {
            kvm.window(7, 0, owns);
        }
        kvm.put(7, 0);
    }
    let load = [(Some(false), false), (Some(true), false), (None, true)];
    assert_eq!(uses(&kvm), [load, load].concat());
}

#[test]
fn the_kernel_takes_the_registers_and_a_use_after_that_is_known_again() {
    let mut kvm = Kvm::default();
    kvm.load(7, 0);
    kvm.window(7, 0, true);
    kvm.neon(7, 0);
    kvm.window(7, 0, true);
    // Between the look and the trace of the exit.
    kvm.enter(7, 0);
    kvm.event(7, 0, "ctxsync_fp: (kvm_arch_vcpu_ctxsync_fp+0x0/0x90)");
    kvm.event(7, 0, "bind: (fpsimd_bind_state_to_cpu+0x0/0x50)");
    kvm.neon(7, 0);
    kvm.event(7, 0, "kvm_exit: IRQ: HSR_EC: 0x0000 (), PC: 0x0");
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    let expected = [
        (Some(true), false),
        (Some(true), false),
        (None, false),
        (Some(false), true),
    ];
    assert_eq!(uses(&kvm), expected);
    let (windows, ..) = imported(kvm.text.as_bytes()).unwrap();
    assert_eq!(
        windows
            .iter()
            .map(|window| window.host_uses)
            .collect::<Vec<_>>(),
        [1, 0, 1, 0]
    );
}

#[test]
fn vcpus_of_several_vms_move_between_cpus_and_rows_stand_in_the_order_of_their_starts() {
    let mut kvm = Kvm::default();
    kvm.load(10, 200);
    kvm.load(11, 3);
    kvm.load(20, 5);
    kvm.enter(10, 200);
    kvm.enter(20, 5);
    kvm.window(11, 3, false);
    kvm.leave(20, 5, false);
    kvm.put(20, 5);
    kvm.leave(10, 200, true);
    kvm.put(10, 200);
    kvm.put(11, 3);
    kvm.load(10, 3);
    kvm.window(10, 3, false);
    kvm.put(10, 3);
    let (windows, vcpus, tally) = imported(kvm.text.as_bytes()).unwrap();
    let rows: Vec<_> = windows
        .iter()
        .map(|window| (window.vcpu, window.core, window.loaded, window.put))
        .collect();
    assert_eq!(
        rows,
        [
            (0, 200, true, true),
            (1, 5, true, true),
            (2, 3, true, true),
            (0, 3, true, true)
        ]
    );
    assert!(windows.is_sorted_by_key(|window| window.start));
    let of = |vm, index| Vcpu { vm, index };
    assert_eq!(vcpus, [of(0, 0), of(1, 0), of(0, 1)]);
    assert_eq!(
        (
            tally.windows,
            tally.loads,
            tally.unseen_windows,
            tally.broken_loads
        ),
        (4, 4, 0, 0)
    );
    // What a trace does not say is not known.
    let window = windows[0];
    assert_eq!(
        (window.el, window.instructions, window.intid),
        (None, 0, None)
    );
    assert!(window.end > window.start);
}

#[test]
fn what_is_not_seen_whole_is_left_out_and_counted() {
    let mut kvm = Kvm::default();
    // Under way at the start.
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    // Whole.
    kvm.load(7, 0);
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    // Of an ioctl.
    kvm.load(7, 0);
    kvm.put(7, 0);
    // Events of its CPU are lost; those of another CPU's are not.
    kvm.load(7, 0);
    kvm.load(8, 1);
    kvm.window(7, 0, false);
    kvm.enter(7, 0);
    kvm.line("CPU:0 [LOST 12 EVENTS]");
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    kvm.window(8, 1, true);
    kvm.put(8, 1);
    // KVM did not look whose the registers are.
    kvm.load(7, 0);
    kvm.enter(7, 0);
    kvm.event(7, 0, "kvm_exit: IRQ: HSR_EC: 0x0000 (), PC: 0x0");
    kvm.put(7, 0);
    // The guest loses the registers to nobody.
    kvm.load(7, 0);
    kvm.window(7, 0, true);
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    kvm.line("what is this");
    // Under way at the end.
    kvm.load(7, 0);
    kvm.window(7, 0, false);
    kvm.enter(7, 0);
    let (windows, _, tally) = imported(kvm.text.as_bytes()).unwrap();
    assert_eq!(windows.len(), 2);
    let expected = Tally {
        lines: tally.lines,
        unknown_lines: 1,
        lost_events: 12,
        losses: 1,
        entries_without_load: 2,
        empty_loads: 1,
        broken_loads: 3,
        broken_windows: 5,
        unfinished_loads: 1,
        unfinished_windows: 2,
        windows: 2,
        loads: 2,
        ..Tally::default()
    };
    assert_eq!(tally, expected);
}

#[test]
fn a_load_that_is_written_before_it_ends_ends_with_what_is_known_of_it() {
    let mut kvm = Kvm::default();
    kvm.load(7, 0);
    for _ in 0..9 {
        kvm.window(7, 0, true);
    }
    // The guest loses the registers to nobody.
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    let mut host = Host::with_room(4);
    let mut windows = Vec::new();
    for text in kvm.text.lines() {
        host.take(&line::parse(text));
        windows.extend(std::iter::from_fn(|| host.next()));
    }
    assert_eq!(windows.len(), 9);
    assert!(windows.iter().all(|window| window.end > window.start));
    let puts = windows.iter().filter(|window| window.put).count();
    assert!(puts == 1 && windows[8].put);
    let tally = host.tally();
    assert_eq!(
        (tally.cut_loads, tally.broken_loads, tally.broken_windows),
        (1, 0, 1)
    );
}

#[test]
fn a_vm_in_the_memory_of_one_that_is_gone_is_another() {
    let mut kvm = Kvm::default();
    for vm in [1, 2] {
        kvm.event(
            7,
            0,
            &format!("load_fp: (kvm_arch_vcpu_load_fp+0x0/0x90) vcpu=0x70 vm=0x{vm}"),
        );
        kvm.window(7, 0, false);
        kvm.put(7, 0);
    }
    let (windows, vcpus, _) = imported(kvm.text.as_bytes()).unwrap();
    assert_eq!(vcpus, [Vcpu { vm: 0, index: 0 }, Vcpu { vm: 1, index: 0 }]);
    assert_eq!((windows[0].vcpu, windows[1].vcpu), (0, 1));
}

#[test]
fn a_file_that_is_cut_off_within_a_number_makes_up_no_vcpu() {
    let mut kvm = Kvm::default();
    kvm.line("# trapcast mode vhe");
    kvm.load(7, 0);
    kvm.window(7, 0, false);
    kvm.put(7, 0);
    let whole = kvm.text.len();
    kvm.load(7, 0);
    let cut = kvm.text.rfind("70 vm=").unwrap();
    assert!(cut > whole);
    let (windows, vcpus, tally) = imported(&kvm.text.as_bytes()[..=cut]).unwrap();
    assert_eq!((windows.len(), vcpus.len(), tally.unknown_lines), (1, 1, 1));
}

#[test]
fn a_trace_without_what_is_needed_says_what() {
    let mut kvm = Kvm::default();
    kvm.enter(7, 0);
    kvm.event(7, 0, "kvm_exit: IRQ: HSR_EC: 0x0000 (), PC: 0x0");
    let told = imported(kvm.text.as_bytes()).unwrap_err().to_string();
    assert!(
        told.contains("no event load_fp, put_fp, ctxsync_fp; `trapcast host-recorder`"),
        "{told}"
    );
    kvm.line("# trapcast mode protected");
    assert!(matches!(
        imported(kvm.text.as_bytes()),
        Err(Error::Protected)
    ));
}

/// What a trace is told to do next: which of four vCPUs, and what.
fn walk(steps: &[(u8, u8)]) -> Kvm {
    let mut kvm = Kvm::default();
    let (mut loaded, mut owns) = ([None; 4], [false; 4]);
    for (vcpu, what) in steps {
        let (place, thread) = (usize::from(vcpu % 4), 10 + u32::from(vcpu % 4));
        match (loaded[place], what % 8) {
            (None, cpu) => {
                let cpu = u32::from(cpu % 4);
                if loaded.contains(&Some(cpu)) {
                    continue;
                }
                kvm.load(thread, cpu);
                (loaded[place], owns[place]) = (Some(cpu), false);
            }
            (Some(cpu), 0) => {
                kvm.put(thread, cpu);
                loaded[place] = None;
            }
            (Some(cpu), 1) => {
                kvm.neon(thread, cpu);
                owns[place] = false;
            }
            (Some(cpu), what) => {
                owns[place] |= what > 5;
                kvm.window(thread, cpu, owns[place]);
            }
        }
    }
    kvm
}

proptest! {
    #[test]
    fn of_a_trace_that_lacks_lines_no_window_is_wrong(
        steps in prop::collection::vec(any::<(u8, u8)>(), 1..200),
        lost in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let kvm = walk(&steps);
        let whole = imported(kvm.text.as_bytes());
        let mut lines: Vec<String> = kvm.text.lines().map(String::from).collect();
        let count = lines.len();
        if count == 0 {
            return Ok(());
        }
        for place in lost {
            // The trace says that it lost what is not there.
            lines[place.index(count)] = "CPU:0 [LOST 1 EVENTS]\nCPU:1 [LOST 1 EVENTS]\nCPU:2 [LOST 1 EVENTS]\n\
                                         CPU:3 [LOST 1 EVENTS]".to_string();
        }
        let Ok((some, ..)) = imported(lines.join("\n").as_bytes()) else {
            return Ok(());
        };
        let (all, ..) = whole.unwrap();
        for window in some {
            let same = |other: &&Window| other.start == window.start;
            let whole = all.iter().find(same);
            let told = whole.map(|whole| (whole.end, whole.used, whole.put, whole.loaded, whole.core));
            prop_assert_eq!(told, Some((window.end, window.used, window.put, window.loaded, window.core)));
        }
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = imported(&bytes);
    }
}
