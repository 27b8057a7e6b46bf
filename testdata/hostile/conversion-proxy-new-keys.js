// class: conversion
// expect: 200
Spark.setScriptData("a", new Proxy({}, { ownKeys() { return ["a", "b"] }, getOwnPropertyDescriptor() { return { enumerable: true, configurable: true, value: 1 } }, get(t, k, r) { return k === "toJSON" ? undefined : new Proxy({}, {}) } }));
