//! QEMU's interface for TCG plugins, version 4: the declarations, and safe functions over them. All `unsafe`
//! of this crate is here.
//!
//! The functions are QEMU's own, which loads this library; GLib's are those of the GLib that QEMU is linked to.

use std::{
    cell::Cell,
    ffi::{CStr, CString, c_char, c_int, c_uint, c_void},
    ptr::null_mut,
    sync::OnceLock,
};

/// The version of the interface that is spoken here. QEMU reads it before it calls [`qemu_plugin_install`], and
/// refuses a plugin that it does not serve.
#[unsafe(no_mangle)]
pub static qemu_plugin_version: c_int = 4;

/// A plugin, by the number that QEMU gave it.
type Id = u64;

/// A block or an instruction that is being translated, a register, a scoreboard: QEMU's own.
type Opaque = c_void;

/// What a callback may do with registers.
#[repr(C)]
enum Access {
    #[expect(dead_code, reason = "QEMU numbers them")]
    None,
    Read,
}

/// When a conditional callback is called: if the counter is not equal to the value.
const NOT_EQUAL: c_uint = 3;

/// An operation on a counter: adds a value.
const ADD: c_uint = 0;

/// What QEMU says of itself.
#[repr(C)]
pub struct Info {
    target: *const c_char,
    least_version: c_int,
    version: c_int,
    is_system: bool,
    cores: c_int,
    most_cores: c_int,
}

/// A register, as QEMU describes it.
#[repr(C)]
struct Descriptor {
    handle: *mut Opaque,
    name: *const c_char,
    feature: *const c_char,
}

/// GLib's array.
#[repr(C)]
struct Array {
    data: *mut Descriptor,
    length: c_uint,
}

/// GLib's array of bytes.
#[repr(C)]
struct Bytes {
    data: *mut u8,
    length: c_uint,
}

/// One number per core, which translated code can count in without a call.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Counter {
    scoreboard: *mut Opaque,
    offset: usize,
}

// SAFETY: a scoreboard is never freed here, and QEMU reads and writes a core's number on that core's thread only, but for
// the end, when no core runs.
unsafe impl Send for Counter {}
// SAFETY: as above.
unsafe impl Sync for Counter {}

type OfCore = extern "C" fn(Id, c_uint);
type OfBlock = extern "C" fn(Id, *mut Opaque);
type OfExecution = extern "C" fn(c_uint, *mut c_void);
type OfEnd = extern "C" fn(Id, *mut c_void);

unsafe extern "C" {
    /// Has a function called for each core that is made, on its thread.
    fn qemu_plugin_register_vcpu_init_cb(id: Id, call: OfCore);
    /// Has a function called for each block that is translated.
    fn qemu_plugin_register_vcpu_tb_trans_cb(id: Id, call: OfBlock);
    /// Has a function called when QEMU ends.
    fn qemu_plugin_register_atexit_cb(id: Id, call: OfEnd, data: *mut c_void);
    /// How many instructions a block has.
    fn qemu_plugin_tb_n_insns(block: *const Opaque) -> usize;
    /// The virtual address of a block.
    fn qemu_plugin_tb_vaddr(block: *const Opaque) -> u64;
    /// An instruction of a block by its index, as long as the block is being translated.
    fn qemu_plugin_tb_get_insn(block: *const Opaque, index: usize) -> *mut Opaque;
    /// Copies at most so many bytes of an instruction's encoding; returns how many.
    fn qemu_plugin_insn_data(instruction: *const Opaque, to: *mut c_void, length: usize) -> usize;
    /// Has a function called before each execution of a block.
    fn qemu_plugin_register_vcpu_tb_exec_cb(
        block: *mut Opaque,
        call: OfExecution,
        access: Access,
        data: *mut c_void,
    );
    /// The same if a counter of the core compares so with a value.
    fn qemu_plugin_register_vcpu_tb_exec_cond_cb(
        block: *mut Opaque,
        call: OfExecution,
        access: Access,
        condition: c_uint,
        counter: Counter,
        value: u64,
        data: *mut c_void,
    );
    /// Has a function called before each execution of an instruction.
    fn qemu_plugin_register_vcpu_insn_exec_cb(
        instruction: *mut Opaque,
        call: OfExecution,
        access: Access,
        data: *mut c_void,
    );
    /// The same if a counter of the core compares so with a value.
    fn qemu_plugin_register_vcpu_insn_exec_cond_cb(
        instruction: *mut Opaque,
        call: OfExecution,
        access: Access,
        condition: c_uint,
        counter: Counter,
        value: u64,
        data: *mut c_void,
    );
    /// Has translated code change a counter of the core before each execution of an instruction.
    fn qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(
        instruction: *mut Opaque,
        operation: c_uint,
        counter: Counter,
        value: u64,
    );
    /// Makes an element of so many bytes per core, all zero, also for cores that come later.
    fn qemu_plugin_scoreboard_new(size: usize) -> *mut Opaque;
    /// Reads a core's counter.
    fn qemu_plugin_u64_get(counter: Counter, core: c_uint) -> u64;
    /// Writes a core's counter.
    fn qemu_plugin_u64_set(counter: Counter, core: c_uint, value: u64);
    /// Lists the registers of the core whose thread calls; the caller frees the array.
    fn qemu_plugin_get_registers() -> *mut Array;
    /// Appends a register of the core whose thread calls to an array; returns its size.
    fn qemu_plugin_read_register(handle: *mut Opaque, to: *mut Bytes) -> c_int;
    /// Prints a string by QEMU's log.
    fn qemu_plugin_outs(text: *const c_char);

    /// Makes an empty array.
    fn g_byte_array_new() -> *mut Bytes;
    /// Changes an array's length.
    fn g_byte_array_set_size(bytes: *mut Bytes, length: c_uint) -> *mut Bytes;
    /// Frees an array, and its elements if that is not 0.
    fn g_array_free(array: *mut Array, elements: c_int) -> *mut c_char;
}

/// What QEMU calls: the plugin itself. It is called on the threads of all cores.
pub trait Plugin: Send + Sync {
    /// A core was made. Its registers can be read.
    fn begins(&self, core: usize);
    /// A block is being translated on a core. The core's registers can be read.
    fn translates(&self, block: &Block);
    /// Something happens on a core that a block was told to call for. The core's registers can be read.
    fn executes(&self, core: usize, call: usize);
    /// QEMU ends. No core runs any more.
    fn ends(&self);
}

/// The one plugin of this process.
static PLUGIN: OnceLock<Box<dyn Plugin>> = OnceLock::new();

/// What QEMU calls first, with what it says of itself and the arguments of `-plugin`.
///
/// Returns 0, or 1 where the plugin cannot run, which ends QEMU.
///
/// # Safety
/// `info` points to what QEMU says of itself, and `arguments` to `count` strings.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn qemu_plugin_install(
    id: Id,
    info: *const Info,
    count: c_int,
    arguments: *const *const c_char,
) -> c_int {
    // SAFETY: the caller says so; QEMU keeps both as long as this function runs.
    let (info, arguments) = unsafe {
        let count = usize::try_from(count).unwrap_or(0);
        let arguments: &[*const c_char] = match count {
            0 => &[],
            count => std::slice::from_raw_parts(arguments, count),
        };
        (&*info, arguments)
    };
    // SAFETY: these are strings that end with a zero, as QEMU's are.
    let text = |text: *const c_char| unsafe { CStr::from_ptr(text) };
    let arguments: Vec<_> = arguments.iter().map(|argument| text(*argument)).collect();
    let is_suitable = info.is_system && text(info.target) == c"aarch64";
    let installed = crate::plugin(is_suitable, &arguments).and_then(|plugin| {
        let is_first = PLUGIN.set(plugin).is_ok();
        is_first.then_some(()).ok_or("it is loaded twice".into())
    });
    match installed {
        Ok(()) => {
            // SAFETY: the functions have the types that are declared, and live as long as QEMU does, as a
            // plugin is never unloaded unless it asks for it.
            unsafe {
                qemu_plugin_register_vcpu_init_cb(id, begins);
                qemu_plugin_register_vcpu_tb_trans_cb(id, translates);
                qemu_plugin_register_atexit_cb(id, ends, null_mut());
            }
            0
        }
        Err(sentence) => {
            eprintln!("trapcast-observer: error: {sentence}");
            1
        }
    }
}

extern "C" fn begins(_: Id, core: c_uint) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.begins(core as usize);
    }
}

extern "C" fn translates(_: Id, block: *mut Opaque) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.translates(&Block(block));
    }
}

extern "C" fn executes(core: c_uint, data: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.executes(core as usize, data.addr());
    }
}

extern "C" fn ends(_: Id, _: *mut c_void) {
    if let Some(plugin) = PLUGIN.get() {
        plugin.ends();
    }
}

/// A block that is being translated. There is one only while [`Plugin::translates`] runs.
pub struct Block(*mut Opaque);

impl Block {
    /// Its virtual address.
    pub fn address(&self) -> u64 {
        // SAFETY: QEMU passed it, and is translating it.
        unsafe { qemu_plugin_tb_vaddr(self.0) }
    }

    /// Its instructions.
    pub fn instructions(&self) -> impl ExactSizeIterator<Item = Instruction<'_>> {
        // SAFETY: as above.
        let count = unsafe { qemu_plugin_tb_n_insns(self.0) };
        (0..count).map(|index| {
            // SAFETY: as above, and it has an instruction of this index.
            let instruction = unsafe { qemu_plugin_tb_get_insn(self.0, index) };
            Instruction(instruction, self)
        })
    }

    /// Has [`Plugin::executes`] called before each execution.
    pub fn call(&self, call: usize) {
        // SAFETY: it is being translated; the function has the type that is declared.
        unsafe { qemu_plugin_register_vcpu_tb_exec_cb(self.0, executes, Access::Read, data(call)) }
    }

    /// Has [`Plugin::executes`] called before each execution if the core's counter is not 0.
    pub fn call_if(&self, counter: Counter, call: usize) {
        let (access, data) = (Access::Read, data(call));
        // SAFETY: as above.
        unsafe {
            qemu_plugin_register_vcpu_tb_exec_cond_cb(
                self.0, executes, access, NOT_EQUAL, counter, 0, data,
            );
        }
    }
}

/// An instruction of a block that is being translated.
pub struct Instruction<'a>(
    *mut Opaque,
    #[expect(dead_code, reason = "bounds its life")] &'a Block,
);

impl Instruction<'_> {
    /// Its encoding, and its length in bytes: 4, or 2 in T32.
    pub fn encoding(&self) -> (u32, usize) {
        let mut bytes = [0; 4];
        // SAFETY: its block is being translated, and there is room for so many bytes.
        let length =
            unsafe { qemu_plugin_insn_data(self.0, bytes.as_mut_ptr().cast(), bytes.len()) };
        (u32::from_le_bytes(bytes), length)
    }

    /// Has the core's counter increased before each execution.
    pub fn count(&self, counter: Counter, by: u64) {
        // SAFETY: its block is being translated; the counter is one.
        unsafe { qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(self.0, ADD, counter, by) }
    }

    /// Has [`Plugin::executes`] called before each execution.
    pub fn call(&self, call: usize) {
        let (access, data) = (Access::Read, data(call));
        // SAFETY: its block is being translated; the function has the type that is declared.
        unsafe { qemu_plugin_register_vcpu_insn_exec_cb(self.0, executes, access, data) }
    }

    /// Has [`Plugin::executes`] called before each execution if the core's counter is not 0.
    pub fn call_if(&self, counter: Counter, call: usize) {
        let (access, data) = (Access::Read, data(call));
        // SAFETY: as above.
        unsafe {
            qemu_plugin_register_vcpu_insn_exec_cond_cb(
                self.0, executes, access, NOT_EQUAL, counter, 0, data,
            );
        }
    }
}

/// A number, in place of the pointer that QEMU keeps for a callback.
const fn data(call: usize) -> *mut c_void {
    std::ptr::without_provenance_mut(call)
}

impl Counter {
    /// Makes a counter.
    pub fn new() -> Self {
        // SAFETY: QEMU has loaded this plugin, so its functions can be called.
        let scoreboard = unsafe { qemu_plugin_scoreboard_new(size_of::<u64>()) };
        Self {
            scoreboard,
            offset: 0,
        }
    }

    /// Its number of a core.
    pub fn get(self, core: usize) -> u64 {
        // SAFETY: the scoreboard is there, and has an element for each core that QEMU has made.
        unsafe { qemu_plugin_u64_get(self, core as c_uint) }
    }

    /// Changes its number of a core.
    pub fn set(self, core: usize, value: u64) {
        // SAFETY: as above.
        unsafe { qemu_plugin_u64_set(self, core as c_uint, value) }
    }
}

/// A register of QEMU's cores. All have the same.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Register(usize);

/// Returns the registers of these names, or the name that the core has not. Only where the core's registers can
/// be read.
pub fn registers<const N: usize>(names: [&'static str; N]) -> Result<[Register; N], &'static str> {
    // SAFETY: QEMU has loaded this plugin; without a core, the array is empty.
    let array = unsafe { qemu_plugin_get_registers() };
    let mut found = [Register(0); N];
    let mut missing = None;
    for (name, register) in names.iter().zip(&mut found) {
        match find(array, name) {
            Some(handle) => *register = Register(handle),
            None => missing = missing.or(Some(*name)),
        }
    }
    // SAFETY: QEMU gave the array away, and nothing points to it any more.
    unsafe { g_array_free(array, 1) };
    missing.map_or(Ok(found), Err)
}

/// Returns the handle of the register of a name.
fn find(array: *mut Array, name: &str) -> Option<usize> {
    // SAFETY: QEMU made the array, of so many descriptors; without one, it may have no memory.
    let descriptors = unsafe {
        match ((*array).data, (*array).length as usize) {
            (_, 0) => &[],
            (data, length) => std::slice::from_raw_parts(data, length),
        }
    };
    let is_it = |found: &&Descriptor| {
        // SAFETY: names are strings that end with a zero.
        let found = unsafe { CStr::from_ptr(found.name) };
        found.to_bytes() == name.as_bytes()
    };
    let found = descriptors.iter().find(is_it)?;
    Some(found.handle.expose_provenance())
}

thread_local! {
    /// Where registers of this thread's core are read to.
    static READ: Cell<*mut Bytes> = const { Cell::new(null_mut()) };
}

impl Register {
    /// Reads it, of the core that the plugin is called for: at most its lowest 64 bits.
    pub fn read(self) -> u64 {
        let handle = std::ptr::with_exposed_provenance_mut(self.0);
        READ.with(|read| {
            // SAFETY: the array is this thread's, made here and never freed; QEMU appends to it, and it has as
            // many bytes as it says.
            let bytes = unsafe {
                if read.get().is_null() {
                    read.set(g_byte_array_new());
                }
                let bytes = g_byte_array_set_size(read.get(), 0);
                if qemu_plugin_read_register(handle, bytes) <= 0 {
                    return 0;
                }
                std::slice::from_raw_parts((*bytes).data, (*bytes).length as usize)
            };
            let mut word = [0; 8];
            let length = bytes.len().min(word.len());
            word[..length].copy_from_slice(&bytes[..length]);
            u64::from_le_bytes(word)
        })
    }
}

/// Says something by QEMU's log, which `-d plugin` shows.
pub fn say(text: &str) {
    let text = CString::new(format!("trapcast-observer: {text}\n")).unwrap_or_default();
    // SAFETY: QEMU has loaded this plugin, and the string ends with a zero.
    unsafe { qemu_plugin_outs(text.as_ptr()) }
}
