// class: conversion
// expect: 504
var e = new Error("x"); Object.defineProperty(e, "stack", { get() { for (;;) {} } }); Spark.getLog().error(e);
