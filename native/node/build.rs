//! Lets the linker leave Node's symbols open: the process that loads the module has them.
fn main() {
    napi_build::setup();
}
