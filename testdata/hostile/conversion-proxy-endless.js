// class: conversion
// expect: 500
var h = { get(t, k) { return k === "toJSON" ? undefined : p }, ownKeys() { return ["a"] }, getOwnPropertyDescriptor() { return { enumerable: true, configurable: true } } };
var p = new Proxy({}, h); Spark.setScriptData("a", new Proxy({}, { get(t, k) { return k === "toJSON" ? undefined : new Proxy({}, h) }, ownKeys: h.ownKeys, getOwnPropertyDescriptor: h.getOwnPropertyDescriptor }));
