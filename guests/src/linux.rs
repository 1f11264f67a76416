//! Linux on arm64, without a C library: the entry point of a program, and the system calls that are needed.
//!
//! Source: Linux, include/uapi/asm-generic/unistd.h; the arm64 ABI for system calls (number in X8,
//! arguments in X0-X5, result in X0).

use core::arch::asm;
use core::ffi::CStr;
use core::fmt::{self, Write};
use core::ptr;

const WRITE: u64 = 64;
const EXIT_GROUP: u64 = 94;
const NANOSLEEP: u64 = 101;
const SCHED_YIELD: u64 = 124;
const CLONE: u64 = 220;
const WAIT4: u64 = 260;

const STDOUT: u64 = 1;
const STDERR: u64 = 2;
const SIGCHLD: u64 = 17;

/// Makes `$run`, a `fn` of the arguments behind the program's name that returns the exit status, a program for
/// Linux.
#[macro_export]
macro_rules! linux_program {
    ($run:path) => {
        core::arch::global_asm!(
            r#"
            .section .text.start, "ax"
            .global _start
            _start:                             // SP: argc, argv[0], argv[1], ..., 0
                mov     x29, #0
                mov     x30, #0
                ldr     x0, [sp]
                add     x1, sp, #8
                b       {start}
            "#,
            start = sym start,
        );

        extern "C" fn start(count: u64, arguments: *const *const u8) -> ! {
            // SAFETY: Linux gives `count` pointers to strings that live forever.
            let arguments = unsafe { $crate::linux::arguments(count, arguments) };
            $crate::linux::exit($run(arguments))
        }

        #[panic_handler]
        fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
            $crate::linux::print_error(env!("CARGO_BIN_NAME"), format_args!("error: {info}"));
            $crate::linux::exit(101)
        }
    };
}

/// The arguments behind the program's name.
///
/// # Safety
///
/// `count` pointers to strings that live forever stand at `arguments`.
pub unsafe fn arguments(
    count: u64,
    arguments: *const *const u8,
) -> impl Iterator<Item = &'static CStr> {
    (1..count).map(move |index| {
        // SAFETY: the caller's.
        let argument = unsafe { *arguments.add(index as usize) };
        // SAFETY: the caller's.
        unsafe { CStr::from_ptr(argument) }
    })
}

/// Makes a system call with up to four arguments.
///
/// # Safety
///
/// As the system call demands.
pub unsafe fn call(number: u64, arguments: [u64; 4]) -> i64 {
    let result: i64;
    let [a, b, c, d] = arguments;
    // SAFETY: Linux changes X0 only; what it does to memory is up to the caller.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => result,
            in("x1") b,
            in("x2") c,
            in("x3") d,
            options(nostack),
        );
    }
    result
}

/// Ends the process with this status.
pub fn exit(status: u8) -> ! {
    loop {
        // SAFETY: does not return.
        unsafe { call(EXIT_GROUP, [status.into(), 0, 0, 0]) };
    }
}

/// Gives the CPU to another process.
pub fn sched_yield() {
    // SAFETY: accesses no memory.
    unsafe { call(SCHED_YIELD, [0; 4]) };
}

/// Sleeps for at least this long.
pub fn sleep(nanoseconds: u32) {
    let time: [u64; 2] = [0, nanoseconds.into()];
    // SAFETY: `time` is a valid timespec; the remainder is not asked for.
    unsafe {
        call(
            NANOSLEEP,
            [time.as_ptr().expose_provenance() as u64, 0, 0, 0],
        )
    };
}

/// Starts a copy of this process. Returns 0 in the copy, its ID here.
///
/// # Errors
///
/// The error number that Linux gives.
pub fn fork() -> Result<u64, i64> {
    // SAFETY: without flags and stack, clone is fork: the copy has its own memory.
    let result = unsafe { call(CLONE, [SIGCHLD, 0, 0, 0]) };
    u64::try_from(result).map_err(|_| -result)
}

/// Waits for one child and returns its exit status, or `None` if it was killed.
///
/// # Errors
///
/// The error number that Linux gives.
pub fn wait_for_child() -> Result<Option<u8>, i64> {
    const ANY: u64 = u64::MAX;
    let status = wait(ANY)?;
    let killed = status & 0x7f != 0;
    Ok((!killed).then_some((status >> 8) as u8))
}

/// Waits until child `process` stops or ends, and returns its status as wait4 has it.
///
/// # Errors
///
/// The error number that Linux gives.
pub fn wait(process: u64) -> Result<u32, i64> {
    let mut status = 0u32;
    let address = ptr::from_mut(&mut status).expose_provenance() as u64;
    // SAFETY: `status` is writable; the resource usage is not asked for.
    let result = unsafe { call(WAIT4, [process, address, 0, 0]) };
    if result < 0 {
        return Err(-result);
    }
    Ok(status)
}

/// A line being made, written out in one piece so that those of several processes do not mix.
struct Line {
    text: [u8; 256],
    length: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.length + text.len();
        let room = self.text.get_mut(self.length..end).ok_or(fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}

fn print_to(file: u64, program: &str, arguments: fmt::Arguments<'_>) {
    let mut line = Line {
        text: [0; 256],
        length: 0,
    };
    // A line that is too long is cut off.
    let _ = writeln!(line, "{program}: {arguments}");
    let address = line.text.as_ptr().expose_provenance() as u64;
    // SAFETY: the text is readable for its length.
    unsafe { call(WRITE, [file, address, line.length as u64, 0]) };
}

/// Prints one line on the standard output, with the program's name in front.
pub fn print(program: &str, arguments: fmt::Arguments<'_>) {
    print_to(STDOUT, program, arguments);
}

/// Prints one line on the standard error output, likewise.
pub fn print_error(program: &str, arguments: fmt::Arguments<'_>) {
    print_to(STDERR, program, arguments);
}
