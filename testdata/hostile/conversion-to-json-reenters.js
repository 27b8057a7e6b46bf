// class: conversion
// expect: 500
var n = 0, o = { toJSON() { Spark.setScriptData("x" + n++, o); return 1 } };
Spark.setScriptData("a", o);
