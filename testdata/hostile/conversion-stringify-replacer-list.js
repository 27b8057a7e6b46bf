// class: conversion
// expect: 504
JSON.stringify({}, new Proxy([], { get(t, k) { return k === "length" ? 4294967295 : "a" } }));
