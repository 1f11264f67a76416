//! Several hostile vCPUs: those beside the first one do their share in bursts, and turn themselves off
//! after each.
//!
//! No other vCPU runs user code, which needs the GIC to come back from an endless loop, as the others
//! change the GIC at any time.
//!
//! CPU_ON races with the CPU_OFF of its target: it may succeed after that vCPU has done its share. So
//! vCPU 0 counts the calls that succeed, each vCPU counts the starts that it has ended, and the share of
//! a vCPU changes only while the two agree.

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::hint::spin_loop;
use core::sync::atomic::{AtomicU64, Ordering};

use super::attempt::MAX_VCPUS;
use super::interrupts;
use super::operations::Hostile;
use super::tally::Tally;
use super::values::Map;
use super::{Kind, Kinds};
use crate::board::psci;
use crate::rng::mix;

/// Operations from a vCPU's start to its CPU_OFF.
const BURST: u64 = 512;

/// Operations of vCPU 0 beside others that never end.
const LAST: u64 = 32;

/// Looks at the others' work between two tries to turn them on.
const LOOKS: u32 = 10_000;

const ALREADY_ON: u64 = -4i64 as u64;

/// What all vCPUs have in common.
#[derive(Clone, Copy, Debug)]
pub struct Common {
    /// Where the generators start.
    pub seed: u64,
    /// Which kinds of operations.
    pub kinds: Kinds,
    /// Where the guest has what.
    pub map: Map,
    /// The memory for EL0.
    pub user: u64,
}

/// One vCPU's share.
#[derive(Clone, Copy)]
struct Share {
    common: Option<Common>,
    starts: u64,
    left: u64,
    tally: Tally,
}

#[repr(transparent)]
struct Shares(UnsafeCell<[Share; MAX_VCPUS]>);

// SAFETY: a vCPU writes its share while it is on, vCPU 0 before that; reads are of single values.
unsafe impl Sync for Shares {}

static SHARES: Shares = Shares(UnsafeCell::new(
    [Share {
        common: None,
        starts: 0,
        left: 0,
        tally: Tally {
            operations: 0,
            returned: 0,
            undefined: 0,
            data_aborts: 0,
            instruction_aborts: 0,
            alignment: 0,
            calls: 0,
            others: 0,
            interrupts: 0,
            serrors: 0,
            violations: 0,
        },
    }; MAX_VCPUS],
));

/// How many of its starts each vCPU has ended: it is off, or does nothing more than turn itself off.
static ENDED: [AtomicU64; MAX_VCPUS] = [const { AtomicU64::new(0) }; MAX_VCPUS];

/// Bytes of the stack of each vCPU but the first.
const STACK: usize = 0x8000;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; STACK]; MAX_VCPUS - 1]>);

// SAFETY: each vCPU uses its own stack only.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK]; MAX_VCPUS - 1]));

global_asm!(
    r#"
    .section .text.several, "ax"
    // The first instruction of another vCPU, with the MMU off; x0: its number.
    hostile_secondary:
        adrp    x1, {stacks}
        add     x1, x1, :lo12:{stacks}
        mov     x2, #{stack}
        madd    x1, x0, x2, x1          // the stacks begin with that of vCPU 1
        mov     sp, x1
        b       {main}
    "#,
    stacks = sym STACKS,
    stack = const STACK,
    main = sym secondary,
);

unsafe extern "C" {
    static hostile_secondary: u8;
}

fn share(vcpu: usize) -> *mut Share {
    SHARES.0.get().cast::<Share>().wrapping_add(vcpu)
}

/// Another vCPU's way from its start to its CPU_OFF.
extern "C" fn secondary(vcpu: usize) -> ! {
    let own = share(vcpu);
    // SAFETY: vCPU 0 has written the share before it turned this one on, and leaves it alone now.
    let (common, starts, left) = unsafe { ((*own).common, (*own).starts, (*own).left) };
    if let Some(common) = common {
        // SAFETY: as above.
        unsafe { (*own).starts = starts + 1 };
        let seed = mix(common.seed ^ mix((vcpu as u64) << 32 | starts));
        let kinds = common.kinds.without(Kind::User);
        // SAFETY: this is that vCPU; vCPU 0 has made the tables.
        let mut hostile = unsafe { Hostile::new(vcpu, seed, kinds, common.map, common.user) };
        for _ in 0..left.min(BURST) {
            hostile.operate();
        }
        hostile.settle();
        // SAFETY: as above.
        unsafe {
            (*own).tally += hostile.tally;
            (&raw mut (*own).left).write_volatile(left - left.min(BURST));
        }
        if left == u64::MAX {
            loop {
                hostile.operate();
            }
        }
        end_waits(common.map.vcpus as usize);
    }
    // Lets vCPU 0 read the share, and change it.
    ENDED[vcpu].store(starts + 1, Ordering::Release);
    loop {
        psci::call(psci::CPU_OFF);
    }
}

/// The vCPUs beside the first.
#[derive(Debug)]
pub struct Others {
    count: usize,
    /// How often each vCPU was turned on.
    started: [u64; MAX_VCPUS],
}

impl Others {
    /// Gives all vCPUs but the first `operations` each.
    #[must_use]
    pub fn new(common: Common, operations: u64) -> Self {
        let count = common.map.vcpus as usize - 1;
        for vcpu in 1..=count {
            // SAFETY: the vCPU is off.
            unsafe {
                (*share(vcpu)).common = Some(common);
                (*share(vcpu)).left = operations;
            }
        }
        Self {
            count,
            started: [0; MAX_VCPUS],
        }
    }

    /// Turns those on that are off and have operations left; returns whether any have, or are on still.
    pub fn go_on(&mut self, hostile: &mut Hostile) -> bool {
        let mut any = false;
        for vcpu in 1..=self.count {
            // SAFETY: a single value, which only falls, to 0, while the vCPU is on.
            let left = unsafe { (&raw const (*share(vcpu)).left).read_volatile() };
            if left != 0 && turn_on(hostile, vcpu, secondary_entry()) != ALREADY_ON {
                self.started[vcpu] += 1;
            }
            any |= left != 0 || ended(vcpu) != self.started[vcpu];
        }
        any
    }

    /// Waits until they have done their share and none is on, and returns what that came to.
    pub fn finish(&mut self, hostile: &mut Hostile) -> Tally {
        while self.go_on(hostile) {
            for _ in 0..LOOKS {
                spin_loop();
            }
            end_waits(self.count + 1);
        }
        let mut tally = Tally::default();
        for vcpu in 1..=self.count {
            // SAFETY: that vCPU has ended each of its starts, and writes no more to its share.
            tally += unsafe { (*share(vcpu)).tally };
        }
        tally
    }

    /// Turns them on once more, some without an end to their share, some anywhere, and does a few
    /// operations beside them: the VM has to end with all of them on. To be called after
    /// [`finish`](Self::finish), and after all that has to be on the console is: any of them may have
    /// the UART send to itself.
    pub fn run_wild(self, hostile: &mut Hostile) {
        for vcpu in 1..=self.count {
            // SAFETY: the vCPU has ended each of its starts, and reads its share at its next one.
            unsafe { (*share(vcpu)).left = u64::MAX };
            let entry = if hostile.values.once_in(2) {
                hostile.values.nothing()
            } else {
                secondary_entry()
            };
            // It may have its CPU_OFF before it.
            while turn_on(hostile, vcpu, entry) == ALREADY_ON {
                spin_loop();
            }
        }
        // None of the others ends its operations, and so this vCPU's wait.
        hostile.wait_no_more();
        let last = if self.count == 0 { 0 } else { LAST };
        for _ in 0..last {
            hostile.operate();
        }
    }
}

/// Puts the GIC in order for all `vcpus` of the VM. One that waits has its timer's line high, but another vCPU may
/// have disabled its interrupt since: whoever has ended its operations makes up for it, so that the last one to wait
/// is woken.
fn end_waits(vcpus: usize) {
    (0..vcpus).for_each(interrupts::put_in_order);
}

/// How many of its starts a vCPU has ended.
fn ended(vcpu: usize) -> u64 {
    ENDED[vcpu].load(Ordering::Acquire)
}

/// Where another vCPU starts.
fn secondary_entry() -> u64 {
    (&raw const hostile_secondary).addr() as u64
}

/// Turns a vCPU on, unless it is, and returns what the call did.
fn turn_on(hostile: &mut Hostile, vcpu: usize, entry: u64) -> u64 {
    let answer = psci::call_with(psci::CPU_ON, [vcpu as u64, entry, vcpu as u64]);
    hostile.expect(
        matches!(answer, 0 | ALREADY_ON),
        || "CPU_ON neither did it nor had done it",
    );
    answer
}
