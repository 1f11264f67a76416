//! How many windows a second are decoded and replayed, stage by stage.

fn main() {
    divan::main();
}
