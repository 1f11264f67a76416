//! The PL011 UART that a guest sees, as plain state.
//!
//! It has no speed: a byte that the guest writes is sent at once, so that the transmit FIFO is
//! always empty and the transmit interrupt is raised again after each byte; a byte that it is given
//! waits in the receive FIFO, where the receive timeout is over at once, so that a driver need not
//! wait for the FIFO to reach its trigger level. As on QEMU's `virt` board, the UART sends and
//! receives even if the guest never enables it: early consoles rely on that.
//!
//! Nothing here touches hardware. EL2 passes accesses and received bytes in, and after each of them
//! gives the level of [`Vpl011::interrupt_level`] to the interrupt controller.
//!
//! Source: PrimeCell UART (PL011) technical reference manual, DDI 0183, revision r1p5.

/// Bytes of the register frame.
pub const SIZE: u64 = 0x1000;

/// Depth of the receive FIFO in bytes when the guest has it enabled; else it is 1.
const FIFO_DEPTH: usize = 32;

const DR: u64 = 0x000;
const FR: u64 = 0x018;
const ILPR: u64 = 0x020;
const IBRD: u64 = 0x024;
const FBRD: u64 = 0x028;
const LCR_H: u64 = 0x02c;
const CR: u64 = 0x030;
const IFLS: u64 = 0x034;
const IMSC: u64 = 0x038;
const RIS: u64 = 0x03c;
const MIS: u64 = 0x040;
const ICR: u64 = 0x044;
const DMACR: u64 = 0x048;
const PERIPH_ID0: u64 = 0xfe0;
const CELL_ID3: u64 = 0xffc;

/// `UARTFR`: clear to send, data set ready, data carrier detect: a peer is connected.
const FR_CONNECTED: u32 = 0b111;
const FR_RXFE: u32 = 1 << 4;
const FR_RXFF: u32 = 1 << 6;
const FR_TXFE: u32 = 1 << 7;

/// `UARTLCR_H.FEN`: the FIFOs are enabled.
const LCR_H_FEN: u32 = 1 << 4;
/// `UARTCR.LBE`: what is sent is received.
const CR_LBE: u32 = 1 << 7;
/// `UARTCR` after reset: `RXE` and `TXE`.
const CR_RESET: u32 = 0x300;
/// `UARTIFLS` after reset: both trigger levels at one half.
const IFLS_RESET: u32 = 0x12;

/// Receive interrupt, in `UARTIMSC`, `UARTRIS`, `UARTMIS` and `UARTICR`.
const INT_RX: u32 = 1 << 4;
/// Transmit interrupt.
const INT_TX: u32 = 1 << 5;
/// Receive timeout interrupt.
const INT_RT: u32 = 1 << 6;

/// `UARTPeriphID0` to `3`, then `UARTPCellID0` to `3`: 0x00341011 and 0xb105f00d.
const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// A PL011 UART of a guest.
#[derive(Clone, Debug)]
pub struct Vpl011 {
    fifo: Fifo,
    ilpr: u32,
    ibrd: u32,
    fbrd: u32,
    lcr_h: u32,
    cr: u32,
    ifls: u32,
    imsc: u32,
    ris: u32,
    dmacr: u32,
}

impl Default for Vpl011 {
    fn default() -> Self {
        Self::new()
    }
}

impl Vpl011 {
    /// A UART after reset.
    pub const fn new() -> Self {
        Self {
            fifo: Fifo::new(),
            ilpr: 0,
            ibrd: 0,
            fbrd: 0,
            lcr_h: 0,
            cr: CR_RESET,
            ifls: IFLS_RESET,
            imsc: 0,
            ris: 0,
            dmacr: 0,
        }
    }

    /// The guest's read of `size` bytes at `offset`.
    ///
    /// Reads of 1, 2 and 4 bytes at a register's offset are served, all others return 0.
    pub fn read(&mut self, offset: u64, size: usize) -> u32 {
        if !served(offset, size) {
            return 0;
        }
        let value = match offset {
            DR => self.take(),
            FR => self.flags(),
            ILPR => self.ilpr,
            IBRD => self.ibrd,
            FBRD => self.fbrd,
            LCR_H => self.lcr_h,
            CR => self.cr,
            IFLS => self.ifls,
            IMSC => self.imsc,
            RIS => self.ris,
            MIS => self.ris & self.imsc,
            DMACR => self.dmacr,
            PERIPH_ID0..=CELL_ID3 => {
                let index = ((offset - PERIPH_ID0) / 4) as usize;
                IDENTIFICATION[index].into()
            }
            // RSR among them: no byte was ever received with an error.
            _ => 0,
        };
        value & mask(size)
    }

    /// The guest's write of `size` bytes at `offset`; returns the byte that it sends, if it does.
    ///
    /// Writes of 1, 2 and 4 bytes at a register's offset are served, all others do nothing.
    pub fn write(&mut self, offset: u64, size: usize, value: u32) -> Option<u8> {
        if !served(offset, size) {
            return None;
        }
        let value = value & mask(size);
        match offset {
            DR => return self.send(value as u8),
            ILPR => self.ilpr = value & 0xff,
            IBRD => self.ibrd = value & 0xffff,
            FBRD => self.fbrd = value & 0x3f,
            LCR_H => self.write_lcr_h(value & 0xff),
            // Bits 6:3 are reserved.
            CR => self.cr = value & 0xff87,
            IFLS => {
                self.ifls = value & 0x3f;
                self.update_receive_interrupt();
            }
            IMSC => self.imsc = value & 0x7ff,
            ICR => self.ris &= !value,
            DMACR => self.dmacr = value & 0x7,
            _ => {}
        }
        None
    }

    /// Whether a byte fits into the receive FIFO.
    #[inline]
    pub const fn has_room(&self) -> bool {
        self.fifo.len < self.depth()
    }

    /// A byte for the guest. One that does not fit is lost, as on the wire: a caller that can keep it asks
    /// [`Vpl011::has_room`] first.
    pub fn receive(&mut self, byte: u8) {
        if !self.has_room() {
            return;
        }
        self.fifo.push(byte);
        self.ris |= INT_RT;
        if self.fifo.len >= self.trigger() {
            self.ris |= INT_RX;
        }
    }

    /// The level of the interrupt line (`UARTINTR`).
    #[inline]
    pub const fn interrupt_level(&self) -> bool {
        self.ris & self.imsc != 0
    }

    fn send(&mut self, byte: u8) -> Option<u8> {
        // The FIFO fell below its trigger level, for it is empty already.
        self.ris |= INT_TX;
        if self.cr & CR_LBE == 0 {
            return Some(byte);
        }
        self.receive(byte);
        None
    }

    fn take(&mut self) -> u32 {
        let byte = self.fifo.pop();
        if self.fifo.len == 0 {
            self.ris &= !INT_RT;
        } else {
            // Cleared by the guest or not: the timeout restarts from this read, and is over.
            self.ris |= INT_RT;
        }
        self.update_receive_interrupt();
        byte.into()
    }

    fn update_receive_interrupt(&mut self) {
        if self.fifo.len < self.trigger() {
            self.ris &= !INT_RX;
        }
    }

    /// Switching the FIFOs on or off empties them.
    fn write_lcr_h(&mut self, value: u32) {
        if (self.lcr_h ^ value) & LCR_H_FEN != 0 {
            self.fifo = Fifo::new();
            self.ris &= !(INT_RX | INT_RT);
        }
        self.lcr_h = value;
    }

    const fn flags(&self) -> u32 {
        let mut flags = FR_TXFE | FR_CONNECTED;
        if self.fifo.len == 0 {
            flags |= FR_RXFE;
        }
        if !self.has_room() {
            flags |= FR_RXFF;
        }
        flags
    }

    const fn depth(&self) -> usize {
        if self.lcr_h & LCR_H_FEN != 0 {
            FIFO_DEPTH
        } else {
            1
        }
    }

    /// Bytes in the receive FIFO that raise the receive interrupt (`UARTIFLS.RXIFLSEL`).
    const fn trigger(&self) -> usize {
        if self.lcr_h & LCR_H_FEN == 0 {
            return 1;
        }
        match self.ifls >> 3 & 0x7 {
            0 => FIFO_DEPTH / 8,
            1 => FIFO_DEPTH / 4,
            2 => FIFO_DEPTH / 2,
            3 => FIFO_DEPTH * 3 / 4,
            // 4; the values above are reserved.
            _ => FIFO_DEPTH * 7 / 8,
        }
    }
}

/// Registers are words; narrower accesses reach their low bytes.
const fn served(offset: u64, size: usize) -> bool {
    matches!(size, 1 | 2 | 4) && offset.is_multiple_of(4)
}

const fn mask(size: usize) -> u32 {
    match size {
        1 => 0xff,
        2 => 0xffff,
        _ => u32::MAX,
    }
}

/// Bytes received and not read yet.
#[derive(Clone, Debug)]
struct Fifo {
    bytes: [u8; FIFO_DEPTH],
    first: usize,
    len: usize,
}

impl Fifo {
    const fn new() -> Self {
        Self {
            bytes: [0; FIFO_DEPTH],
            first: 0,
            len: 0,
        }
    }

    /// The caller has checked that it fits.
    fn push(&mut self, byte: u8) {
        self.bytes[(self.first + self.len) % FIFO_DEPTH] = byte;
        self.len += 1;
    }

    /// The oldest byte, 0 if there is none.
    fn pop(&mut self) -> u8 {
        if self.len == 0 {
            return 0;
        }
        let byte = self.bytes[self.first];
        self.first = (self.first + 1) % FIFO_DEPTH;
        self.len -= 1;
        byte
    }
}

#[cfg(test)]
mod tests;
