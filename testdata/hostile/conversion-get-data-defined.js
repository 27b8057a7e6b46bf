// class: conversion
// expect: 200
Object.defineProperty(Spark.getData(), "x", { get() { throw new Error("mine") } }); Spark.setScriptData("d", Spark.getData());
