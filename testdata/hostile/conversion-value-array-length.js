// class: conversion
// expect: 504
Spark.setScriptData("a", new Proxy([], { get(t, k) { return k === "length" ? 4294967295 : k === "toJSON" ? undefined : 1 } }));
