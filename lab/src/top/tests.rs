//! Snapshots of mailboxes that the tests write, as figures, text and pictures.

use ratatui::{Terminal, backend::TestBackend};
use trapcast_forecast::Scheme;
use trapcast_trace::{
    MAILBOX_OFFSET, MAILBOX_SIZE,
    report::{
        CORES_OFFSET, CoreReport, Exit, Header, MAGIC, State, VCPUS_OFFSET, VERSION, VcpuReport,
    },
};
use zerocopy::{FromZeros, IntoBytes};

use super::*;
use trapcast_tool::paths::Paths;

/// A board's RAM with two VMs, of one and of two vCPUs.
struct Board {
    ram: MemoryFile,
    core: CoreReport,
    vcpus: [VcpuReport; 3],
    cores: u32,
}

impl Board {
    fn new() -> Self {
        let vcpu = |vm, index, scheme| VcpuReport {
            vm,
            index,
            scheme: scheme as u32,
            ..VcpuReport::new_zeroed()
        };
        Self {
            ram: MemoryFile::zeroed(MAILBOX_OFFSET + MAILBOX_SIZE).unwrap(),
            core: CoreReport::new_zeroed(),
            vcpus: [
                vcpu(0, 0, Scheme::Owner),
                vcpu(1, 0, Scheme::Counter),
                vcpu(1, 1, Scheme::Counter),
            ],
            cores: 1,
        }
    }

    /// Writes the mailbox, and looks at it.
    fn sample(&self) -> Sample {
        let header = Header {
            magic: MAGIC,
            version: VERSION,
            state: State::Running as u32,
            cores: self.cores,
            vms: 2,
            vcpus: 3,
            vhe: 1,
            ..Header::new_zeroed()
        };
        let write = |bytes: &[u8], offset: usize| {
            self.ram
                .write_at(bytes, MAILBOX_OFFSET + offset as u64)
                .unwrap();
        };
        write(header.as_bytes(), 0);
        write(self.core.as_bytes(), CORES_OFFSET);
        write(self.vcpus.as_bytes(), VCPUS_OFFSET);
        Sample::take(&self.ram).unwrap().unwrap()
    }

    /// Looks twice, two seconds apart, between which `run` happens.
    fn snapshot(mut self, run: impl FnOnce(&mut Self)) -> Snapshot {
        let before = self.sample();
        run(&mut self);
        Snapshot::new(&about(), Some(&before), &self.sample(), 2.0)
    }
}

fn about() -> share::About {
    let target = tempfile::tempdir().unwrap();
    let paths = Paths::find(Some(target.path().to_path_buf())).unwrap();
    let ram = MemoryFile::with_content(b"").unwrap();
    let _announced = share::Announced::new(&paths, "max", "2 VMs", &ram).unwrap();
    let mut about = share::find(&paths, None).unwrap().about;
    about.pid = 4711;
    about
}

/// What happens on the board between two looks.
fn busy(board: &mut Board) {
    board.core.el2_instructions += 250;
    board.core.guest_instructions += 750;
    board.core.vcpu_switches += 8;
    let [vcpu, other, third] = &mut board.vcpus;
    vcpu.entries += 3000;
    vcpu.traps += 20;
    vcpu.register_loads += 20;
    vcpu.register_saves += 19;
    vcpu.bytes_moved += 40_000;
    vcpu.el2_instructions += 100;
    vcpu.exits[Exit::Wait as usize] += 5;
    vcpu.exits[Exit::Mmio as usize] += 9;
    other.observed = 1;
    third.observed = 1;
    other.register_loads += 8;
    other.register_saves += 8;
    other.wasted_loads += 2;
    third.entries += 9;
}

#[test]
fn rates_and_shares_are_those_of_the_time_between() {
    let snapshot = Board::new().snapshot(busy);
    let [first, second] = &snapshot.vms[..] else {
        panic!("two VMs")
    };
    let rates = first.rates.unwrap();
    let figures = [
        rates.entries,
        rates.traps,
        rates.loads,
        rates.eager_loads,
        rates.bytes,
    ];
    assert_eq!(figures, [1500.0, 10.0, 10.0, 0.0, 20_000.0]);
    assert_eq!((rates.most, first.in_core), (Some("mmio"), Some(1)));
    assert_eq!((first.el2_share, first.hit_share), (Some(0.1), None));
    assert_eq!((second.hit_share, second.in_core), (Some(0.75), Some(0)));
    let rates = second.rates.unwrap();
    assert_eq!((rates.entries, rates.eager_loads), (4.5, 4.0));
    assert_eq!(snapshot.vcpus.len(), 3);
    let core = &snapshot.cores[0];
    assert_eq!(
        (core.el2_share, core.rates.unwrap().vcpu_switches),
        (Some(0.25), 4.0)
    );
}

#[test]
fn instructions_of_several_cores_are_not_shown() {
    let board = Board {
        cores: 2,
        ..Board::new()
    };
    let snapshot = board.snapshot(busy);
    assert_eq!(snapshot.cores.len(), 2);
    assert!(snapshot.cores.iter().all(|core| core.el2_share.is_none()));
    assert!(snapshot.vcpus.iter().all(|vcpu| vcpu.el2_share.is_none()));
}

#[test]
fn what_was_read_half_written_shows_no_figures() {
    // Counted backwards: the look before was at something else.
    let snapshot = Board::new().snapshot(|board| {
        busy(board);
        board.vcpus[0].entries = 0;
        board.vcpus[0].loads_of_vcpu = 7;
    });
    assert!(snapshot.vms[0].rates.is_some());
    let mut board = Board::new();
    busy(&mut board);
    let snapshot = board.snapshot(|board| {
        busy(board);
        board.vcpus[0].register_saves += 1;
        board.vcpus[0].entries -= 6000;
    });
    assert!(snapshot.vms[0].counters.is_some());
    assert!(snapshot.vms[0].rates.is_none() && snapshot.vms[1].rates.is_some());
    // More saves than loads, and a scheme that does not exist: not copied to the end yet.
    for spoil in [
        (|vcpu| vcpu.register_saves += 2) as fn(&mut VcpuReport),
        |vcpu| vcpu.scheme = 99,
        |vcpu| vcpu.vm = 2,
        |vcpu| vcpu.traps += 100,
    ] {
        let snapshot = Board::new().snapshot(|board| {
            busy(board);
            spoil(&mut board.vcpus[0]);
        });
        let told = text::render(&snapshot);
        assert!(snapshot.vms[0].counters.is_none(), "{told}");
        assert_eq!(snapshot.vcpus.len(), 2, "{told}");
        serde_json::to_string(&snapshot).unwrap();
    }
}

#[test]
fn the_text_fits_and_says_what_is_not_known() {
    let told = text::render(&Board::new().snapshot(busy));
    assert!(
        told.lines().all(|line| line.chars().count() <= 120),
        "{told}"
    );
    for wanted in [
        "trapcast, process 4711: running, max with VHE, 1 core, 2 VMs",
        "owner       1500       10       10        0",
        "75.0",
        "mmio",
    ] {
        let squeezed = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(
            squeezed(&told).contains(&squeezed(wanted)),
            "{wanted}: {told}"
        );
    }
}

/// What a terminal of this size shows, line by line.
fn picture(
    snapshot: &Snapshot,
    (width, height): (u16, u16),
    scroll: usize,
) -> (usize, Vec<String>) {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let mut shown = 0;
    terminal
        .draw(|frame| shown = screen::draw(frame, snapshot, scroll))
        .unwrap();
    let buffer = terminal.backend().buffer();
    let line = |y| {
        (0..width)
            .map(|x| buffer[(x, y)].symbol())
            .collect::<String>()
    };
    (shown, (0..height).map(line).collect())
}

#[test]
fn the_screen_shows_both_tables_and_the_keys() {
    let snapshot = Board::new().snapshot(busy);
    let (_, lines) = picture(&snapshot, (120, 24), 0);
    let words = |line: &str| {
        line.split_whitespace()
            .map(str::to_string)
            .collect::<Vec<_>>()
    };
    assert!(
        lines[0].starts_with("trapcast, process 4711: running"),
        "{lines:#?}"
    );
    assert_eq!(words(&lines[2])[..2], ["core", "EL2"]);
    assert_eq!(words(&lines[3])[..3], ["0", "25.0", "4.0"]);
    assert_eq!(words(&lines[5])[..4], ["vm", "vcpu", "scheme", "entries/s"]);
    // VM 0, VM 1, and the two vCPUs of VM 1.
    assert_eq!(words(&lines[6])[..3], ["0", "owner", "1500"]);
    assert_eq!(words(&lines[7])[..3], ["1", "counter", "4.5"]);
    assert_eq!(words(&lines[8])[..3], ["0", "counter", "0"]);
    assert_eq!(words(&lines[9])[..3], ["1", "counter", "4.5"]);
    assert!(lines[23].contains("q leaves"), "{lines:#?}");
}

#[test]
fn a_small_screen_scrolls_and_a_tiny_one_does_no_harm() {
    let snapshot = Board::new().snapshot(busy);
    let (scroll, lines) = picture(&snapshot, (120, 9), 100);
    assert_eq!(scroll, 2, "{lines:#?}");
    assert!(
        lines[6].contains("counter") && lines[7].contains("4.5"),
        "{lines:#?}"
    );
    for size in [(1, 1), (10, 3), (200, 2)] {
        picture(&snapshot, size, 3);
    }
}

#[test]
fn keys_leave_and_scroll() {
    let key = |code, modifiers| wish(KeyEvent::new(code, modifiers));
    let none = KeyModifiers::NONE;
    assert_eq!(key(KeyCode::Char('q'), none), Some(Wish::Leave));
    assert_eq!(
        key(KeyCode::Char('c'), KeyModifiers::CONTROL),
        Some(Wish::Leave)
    );
    assert_eq!(key(KeyCode::Char('c'), none), None);
    assert_eq!(key(KeyCode::Down, none), Some(Wish::Scroll(1)));
}
