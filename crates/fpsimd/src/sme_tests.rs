//! Tests of the layout, on any machine.

extern crate std;

use std::{vec, vec::Vec};

use super::*;
use crate::VectorLengths;

/// Every guest that the architecture allows.
fn configs() -> impl Iterator<Item = SmeConfig> {
    let lengths = || VectorLengths::from_bitmap(u16::MAX).iter();
    let streaming =
        || [128, 256, 512, 1024, 2048].map(|bits| VectorLength::from_bits(bits).unwrap());
    lengths().map(Some).chain([None]).flat_map(move |sve| {
        streaming().into_iter().flat_map(move |streaming| {
            [(false, false), (true, false), (false, true), (true, true)].map(|(fa64, zt0)| {
                SmeConfig {
                    streaming,
                    sve,
                    fa64,
                    zt0,
                }
            })
        })
    })
}

fn memory(config: SmeConfig) -> Vec<Granule> {
    vec![Granule::ZERO; SmeFile::granules(config)]
}

#[test]
fn memory_is_both_modes_vectors_za_and_zt0() {
    for config in configs() {
        let longest = config
            .sve
            .map_or(config.streaming, |sve| sve.max(config.streaming));
        let zt0 = if config.zt0 { 64 } else { 0 };
        assert_eq!(
            SmeFile::bytes(config),
            16 + SveFile::bytes(longest) + config.streaming.za_bytes() + zt0,
            "{config:?}"
        );
    }
}

#[test]
fn the_file_tells_what_it_was_made_with() {
    for config in configs() {
        let mut memory = memory(config);
        let last = memory.len() - 1;
        assert!(SmeFile::new(&mut memory[..last], config).is_none());
        let mut file = SmeFile::new(&mut memory, config).unwrap();
        // SAFETY: the memory is borrowed here.
        assert_eq!(unsafe { file.area().file() }.config(), config);
        assert_eq!(file.svcr(), Svcr::OFF);
        assert!(file.za().is_none() && file.zt0().is_none());
    }
}

#[test]
fn parts_do_not_overlap() {
    for config in configs() {
        for streaming in [false, true] {
            let mut memory = memory(config);
            let mut file = SmeFile::new(&mut memory, config).unwrap();
            file.set_svcr(Svcr::new(streaming, true));
            file.za_mut().unwrap().fill(0x5a);
            if let Some(zt0) = file.zt0_mut() {
                assert_eq!(zt0.len(), 64);
                zt0.fill(0xa5);
            }
            let mut vectors = file.vectors();
            let length = if streaming {
                Some(config.streaming)
            } else {
                config.sve
            };
            assert_eq!(vectors.vector_length(), length.unwrap_or(VectorLength::MIN));
            (0..32).for_each(|n| vectors.z_mut(n).fill(0x11));
            (0..16).for_each(|n| vectors.p_mut(n).fill(0x22));
            vectors.ffr_mut().fill(0x33);
            let za = file.za().unwrap();
            assert_eq!(za.len(), config.streaming.za_bytes());
            assert!(za.iter().all(|byte| *byte == 0x5a));
            assert!(
                file.zt0()
                    .is_none_or(|zt0| zt0.iter().all(|byte| *byte == 0xa5))
            );
            // SAFETY: the memory is borrowed here.
            assert_eq!(unsafe { file.area().file() }.config(), config);
        }
    }
}

#[test]
fn a_change_of_svcr_zeroes_what_the_architecture_zeroes() {
    let config = SmeConfig {
        streaming: VectorLength::MIN,
        sve: VectorLength::from_bits(256),
        fa64: false,
        zt0: true,
    };
    let mut memory = memory(config);
    let mut file = SmeFile::new(&mut memory, config).unwrap();
    file.vectors().z_mut(1).fill(1);
    file.vectors().set_status_and_control(1, 2);
    file.set_svcr(Svcr::new(false, true));
    assert_eq!(file.vectors().z(1)[31], 1, "ZA alone leaves the vectors");
    assert!(file.za().unwrap().iter().all(|byte| *byte == 0));
    file.za_mut().unwrap().fill(7);
    file.zt0_mut().unwrap().fill(7);
    file.set_svcr(Svcr::new(true, true));
    assert_eq!(file.vectors().z(1), [0; 16]);
    let vectors = file.vectors();
    assert_eq!((vectors.fpsr(), vectors.fpcr()), (0x0800_009f, 2));
    assert!(
        file.za().unwrap().iter().all(|byte| *byte == 7),
        "SM alone leaves ZA"
    );
    file.set_svcr(Svcr::OFF);
    file.set_svcr(Svcr::new(false, true));
    assert!(
        file.za()
            .unwrap()
            .iter()
            .chain(file.zt0().unwrap())
            .all(|byte| *byte == 0)
    );
}

#[test]
fn the_bits_stand_where_the_arm_arm_has_them() {
    assert_eq!(Svcr::new(true, false).bits(), 1);
    assert_eq!(Svcr::new(false, true).bits(), 2);
    assert_eq!(Svcr::from_bits(!0), Svcr::new(true, true));
    let config = |fa64, zt0| SmeConfig {
        streaming: VectorLength::from_bits(512).unwrap(),
        sve: None,
        fa64,
        zt0,
    };
    assert_eq!(config(false, false).smcr(), 3);
    assert_eq!(config(true, false).smcr(), 0x8000_0003);
    assert_eq!(config(false, true).smcr(), 0x4000_0003);
}
