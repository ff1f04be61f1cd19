// Imported first: what the garbage collector tells Wasm of.
//
// wasm-bindgen registers each closure, of which a delivery makes dozens, to free it when the collector has found it.
// Rust drops its closures by itself, so that costs a twentieth of the time for nothing. Objects of classes, whose held
// value is a pointer, have nobody else to free them.
globalThis.FinalizationRegistry = class extends FinalizationRegistry {
  register(target, held, token) {
    if (typeof held === "number") super.register(target, held, token);
  }
};
