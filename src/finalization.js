// Which finalizers of wasm-bindgen are registered. Imported first, to replace the class before the bindings use it.
//
// wasm-bindgen registers each closure, dozens for a delivery, to free it when it is collected. Rust drops its closures
// itself, so that would waste a twentieth of the time. Objects of classes, whose held value is a pointer (a number),
// are freed in no other way.
globalThis.FinalizationRegistry = class extends FinalizationRegistry {
  register(target, held, token) {
    if (typeof held === "number") super.register(target, held, token);
  }
};
