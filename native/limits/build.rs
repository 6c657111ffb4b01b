//! Lets the linker leave the symbols of Node-API open; the Node process that loads the library provides them.

fn main() {
    napi_build::setup();
}
