//! The README shows the example that is compiled, and nothing that only looks like it.

const README: &str = include_str!("../README.md");
const EXAMPLE: &str = include_str!("../examples/lazy_switch.rs");

#[test]
fn the_readme_shows_the_example_as_it_is_compiled() {
    let (_, rest) = README.split_once("```rust,ignore\n").expect("a code block");
    let (shown, _) = rest.split_once("```").expect("its end");
    let (_, compiled) = EXAMPLE
        .split_once("#![cfg(target_arch = \"aarch64\")]\n\n")
        .expect("the example's head");
    assert_eq!(shown, compiled);
}
